"""Classifiers of every family in a small form, for tests of interpretation."""

import functools

import jax
import numpy as np
import small_modules

from jaxvision import models

CLASSES = 4
SIDE = 16
_VIT = {
  "patch_size": 4,
  "width": 12,
  "depth": 2,
  "mlp_dim": 16,
  "num_heads": 3,
}
# Name -> model and its options.
SMALL = {
  "alexnet": ("alexnet", {"features": (4, 4, 4, 4, 6), "stem": "small"}),
  "vgg": (
    "vgg11",
    {"blocks": (1, 1), "features": 4, "pool_size": 2, "hidden": (6,)},
  ),
  "resnet": ("resnet18", {"blocks": (1, 1), "features": 4, "stem": "small"}),
  "bit": ("bit_r50x1", {"units": (1,), "stem": "small"}),
  "efficientnet": (
    "efficientnet_b0",
    {"width": 0.25, "stages": ((1, 3, 1, 1, 16),), "stem": "small"},
  ),
  "shufflenet": (
    "shufflenet_v2_x1_0",
    {
      "features": (28, 40),
      "head_features": 8,
      "repeats": (1, 1),
      "stem": "small",
    },
  ),
  "nasnet": (
    "nasnet_a_mobile",
    {"repeats": 1, "features": 4, "stages": 1, "stem": "small"},
  ),
  "vit": ("vit_ti16", _VIT),
  "vit_mean": ("vit_ti16", {**_VIT, "pool": "mean", "registers": 2}),
  "vit_map": ("vit_ti16", {**_VIT, "pool": "map", "registers": 1}),
  "vit_distilled": (
    "vit_ti16",
    {**_VIT, "distillation_token": True, "registers": 3},
  ),
  "mixer": (
    "mixer_s16",
    {
      "patch_size": 4,
      "width": 12,
      "depth": 2,
      "tokens_dim": 8,
      "channels_dim": 16,
    },
  ),
  "mlp": ("mlp", {"hidden": (6,)}),
  "linear": ("linear", {}),
}


@functools.cache
def classifier(name, side=SIDE, channels=3, **options):
  """Returns a model and random variables."""
  model, small = SMALL[name]
  model = models.create(model, num_classes=CLASSES, **{**small, **options})
  shape = (side, side, channels)
  return model, small_modules.random_variables(model, shape)


@functools.partial(jax.jit, static_argnums=0)
def logits(model, variables, images):
  """The logits of a model in evaluation mode."""
  return model.apply(variables, images, train=False)


def images(n=3, side=SIDE, channels=3):
  """Normal random images."""
  shape = (n, side, side, channels)
  return np.asarray(jax.random.normal(jax.random.key(1), shape))
