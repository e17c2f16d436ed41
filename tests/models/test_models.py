"""Creation of models, and properties of all models, on small variants.

To rewrite the golden texts after an intended change, run this file as a script.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_modules
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from parity import all_families

from jaxvision import interpret, models, summary, trees
from jaxvision.variables import variable_shapes

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
CLASSES = 5

# Each Linen module in at least one small form.
SMALL = {
  "alexnet": {"features": (8, 12, 16, 8, 8), "stem": "small"},
  "alexnet_2012": {"features": (8, 12, 16, 8, 8), "stem": "small"},
  "bit_r50x1": {"units": (1, 1), "stem": "small"},
  "efficientnet_b0": {
    "width": 0.25,
    "stages": ((1, 3, 1, 1, 16), (2, 5, 2, 6, 32)),
    "stem": "small",
  },
  "efficientnet_lite0": {
    "width": 0.25,
    "stages": ((1, 3, 1, 1, 16), (2, 5, 2, 6, 32)),
    "stem": "small",
  },
  "linear": {},
  "mixer_s16": {
    "patch_size": 4,
    "width": 12,
    "depth": 2,
    "tokens_dim": 8,
    "channels_dim": 24,
  },
  "mlp": {"hidden": (12, 8)},
  "maxout_mlp": {"hidden": (6,), "pieces": 3},
  "nasbench201": {"cells": 1, "channels": 4, "stages": 2},
  "nasnet_a_mobile": {
    "repeats": 1,
    "features": 4,
    "stages": 2,
    "stem": "small",
  },
  "nasnet_cell": {
    "genotype": "conv1x3_3x1(0)&max5x5(1) dil3x3(2)+id(1) / "
    "avg3x3(0)+id(0) conv1x1(2)&id(1)",
    "cells": 1,
    "filters": 4,
    "stages": 2,
  },
  "resnet18": {"blocks": (1, 1), "features": 8, "stem": "small"},
  "resnet50": {"blocks": (1, 1), "features": 8},
  "shufflenet_v2_x1_0": {
    "features": (28, 40),
    "head_features": 32,
    "repeats": (2, 1),
    "stem": "small",
  },
  "vgg11": {"blocks": (1, 1), "features": 8, "pool_size": 2, "hidden": (12,)},
  "vit_ti16": {
    "patch_size": 4,
    "width": 12,
    "depth": 2,
    "mlp_dim": 24,
    "num_heads": 3,
  },
}

# The same for the models that are not in the list. Their properties are in
# test_dagan.py and test_low_data_densenet.py.
UNLISTED = {
  "dagan": {
    "sizes": (4, 6),
    "generator_layers": 2,
    "critic_layers": 2,
    "hidden": 8,
  },
  "dagan_small": {"generator_sizes": (4, 6), "critic_sizes": (4, 6)},
  "low_data_densenet": {"blocks": (2, 1), "growth": 4, "stem": "small"},
}

all_small = pytest.mark.parametrize("name", SMALL)
# NASNet takes long to compile, however small.
quick_small = pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.slow] if "nasnet" in name else [])
    for name in SMALL
  ],
)

# Most of the time is compilation; this halves it.
_jit = functools.partial(
  jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def _images(*shape, seed=0):
  return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def _small(name, *, channels=3, size=16, dtype="float32"):
  """Returns a model and random variables, drawn without compiling its `init`.

  The zeros and ones of an initialisation (heads, biases, scales) would hide
  mistakes.
  """
  model = models.create(name, num_classes=CLASSES, dtype=dtype, **SMALL[name])
  drawn = small_modules.random_variables(model, (size, size, channels))
  return model, jax.tree.map(jnp.asarray, drawn)


@functools.partial(_jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images, train=False)


def _train_logits(model, variables, images):
  return model.apply(
    variables,
    images,
    train=True,
    mutable=["batch_stats"],
    rngs={"dropout": jax.random.key(1)},
  )


LABELS = jnp.arange(64) % CLASSES


@functools.partial(_jit, static_argnums=0)
def _train(model, variables, images):
  """Returns ((loss, (logits, updated statistics)), gradient of the loss)."""

  def loss(params):
    logits, state = _train_logits(
      model, {**variables, "params": params}, images
    )
    of_labels = jax.nn.log_softmax(logits)[jnp.arange(64), LABELS]
    return -of_labels.sum(), (logits, state)

  return jax.value_and_grad(loss, has_aux=True)(variables["params"])


def test_every_module_is_tested_here():
  modules = {variant["module"] for variant in models.VARIANTS.values()}
  assert modules == {models.VARIANTS[name]["module"] for name in SMALL}
  assert set(UNLISTED) == set(models.UNLISTED)


def test_names_matches_shell_patterns():
  assert models.names("vit_?32") == ["vit_b32", "vit_l32", "vit_s32"]
  assert models.names("zebra*") == []


@pytest.mark.matrix(
  "linear",
  "mlp",
  "alexnet",
  "resnet18",
  "resnet50",
  "vgg11",
  "efficientnet_lite0",
)
@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[] if name in SMALL else [pytest.mark.slow])
    for name in models.names()
  ],
)
def test_counts_are_those_of_public_implementations(name):
  parameters, gmacs, _ = all_families.read_counts()[name]
  spec = models.spec(name)
  table = summary.layer_table(
    models.create(name, num_classes=1000),
    image_shape=(spec.image_size, spec.image_size, 3),
  )
  (total,) = summary.at_depth(table, 0)
  assert total.parameters == spec.parameters == parameters
  assert total.macs / 1e9 == pytest.approx(gmacs, rel=0.01)
  assert spec.gmacs == pytest.approx(gmacs, rel=0.005)


def test_spec_is_a_frozen_record():
  spec = models.spec("resnet50")
  assert (spec.name, spec.image_size) == ("resnet50", 224)
  assert spec.mean == (0.485, 0.456, 0.406)
  with pytest.raises(dataclasses.FrozenInstanceError):
    spec.image_size = 32


def test_unknown_model_names_the_nearest():
  with pytest.raises(ValueError, match=r"'resnet5O'.*'resnet50'"):
    models.create("resnet5O", num_classes=2)
  with pytest.raises(ValueError, match=r"'vit-b16'.*'vit_b16'"):
    models.spec("vit-b16")


def test_unknown_option_names_the_nearest():
  with pytest.raises(ValueError, match=r"resnet18.*'featurs'.*'features'"):
    models.create("resnet18", num_classes=2, featurs=16)


def test_options_override_the_variant():
  model = models.create("resnet18", num_classes=2, blocks=(1, 1, 1))
  assert model.blocks == (1, 1, 1)
  assert models.create("resnet18", num_classes=2).blocks == (2, 2, 2, 2)


@pytest.mark.parametrize("name", [*SMALL, *UNLISTED])
def test_names_and_shapes_are_the_golden_ones(name):
  golden = (GOLDEN / f"variables_{name}.txt").read_text()
  assert _golden_text(name) == golden, (
    "names or shapes of variables changed, so older checkpoints no longer "
    "load; if that is intended, run "
    "PYTHONPATH=tests python tests/models/test_models.py"
  )


def _golden_text(name):
  options = {**SMALL, **UNLISTED}[name]
  model = models.create(name, num_classes=CLASSES, **options)
  shapes = variable_shapes(model, image_shape=(16, 16, 3))
  rows = trees.flatten(shapes).items()
  return "".join(f"{path} {leaf.shape}\n" for path, leaf in rows)


@pytest.mark.matrix("linear", "mlp", "resnet18", "vit_ti16")
@all_small
def test_layers_add_up_and_can_be_tapped(name):
  model, variables = _small(name)
  table = summary.layer_table(model, image_shape=(16, 16, 3))
  assert sum(row.parameters for row in table) == trees.count(
    variables["params"]
  )
  flops = summary.flops_per_image(model, image_shape=(16, 16, 3))
  assert 2 * sum(row.macs for row in table) == flops > 0
  names = [row.path for row in table if row.path]
  assert names == interpret.layer_names(model, image_shape=(16, 16, 3))
  tap = functools.partial(interpret.tap, model, layers=names)
  taps = jax.eval_shape(tap, variables, _images(1, 16, 16, 3))
  for row in table[1:]:
    assert jax.tree.leaves(taps[row.path])[0].shape == row.output_shape


@pytest.mark.matrix("linear", "mlp", "resnet18", "vit_ti16")
@all_small
@pytest.mark.parametrize("size, channels", [(8, 1), (32, 3)])
def test_logits_of_any_size_and_number_of_channels(name, size, channels):
  model, variables = _small(name, size=size, channels=channels)
  logits = _logits(model, variables, _images(4, size, size, channels))
  assert logits.shape == (4, CLASSES)
  assert logits.dtype == jnp.float32
  assert np.isfinite(logits).all()
  assert np.std(logits, axis=0).min() > 0  # The image matters.


@pytest.mark.matrix("linear", "mlp", "resnet18", "vit_ti16")
@all_small
def test_examples_do_not_influence_each_other_in_evaluation(name):
  model, variables = _small(name, size=32)
  images = _images(4, 32, 32, 3)
  others = images.at[1:].set(_images(3, 32, 32, 3, seed=1))
  together = _logits(model, variables, images)
  np.testing.assert_array_equal(
    together[0], _logits(model, variables, others)[0]
  )
  order = jnp.array([2, 0, 3, 1])
  np.testing.assert_allclose(
    together[order],
    _logits(model, variables, images[order]),
    rtol=1e-4,
    atol=1e-5,
  )


@pytest.mark.matrix("linear", "mlp", "resnet18", "vit_ti16")
@quick_small
def test_gradients_reach_every_parameter(name):
  model, variables = _small(name)
  images = _images(64, 16, 16, 3)
  silent = _silent(_train(model, variables, images)[1])
  # Statistics of the batch cancel the biases of linear layers before them;
  # those of evaluation do not.
  assert all(path.endswith("bias") for path in silent), silent
  if silent:

    def loss(params):
      logits = model.apply({**variables, "params": params}, images, train=False)
      return (logits**2).sum()

    assert not silent & _silent(_jit(jax.grad(loss))(variables["params"]))


def _silent(gradient):
  """Returns the paths of zeros that the network's mathematics does not imply.

  A bias of all keys shifts all attention logits equally, so softmax cancels it.
  LayerNorm subtracts a bias of all channels of a token.
  """
  gradient = trees.flatten(gradient)
  for path, leaf in gradient.items():
    assert np.isfinite(leaf).all(), path
  return {
    path
    for path, leaf in gradient.items()
    if np.abs(leaf).max() <= 1e-5
    and not path.endswith(("key/bias", "token_mixing/Dense_1/bias"))
  }


@pytest.mark.matrix("linear", "mlp", "resnet18", "vit_ti16")
@quick_small
def test_loss_falls_from_the_initialisation(name):
  """The loss falls below that of the biases alone, so the images matter."""
  model, images = _small(name)[0], _images(64, 16, 16, 3)
  init = _jit(functools.partial(model.init, train=False))
  variables = init(jax.random.key(0), images[:1])
  mean_losses = []
  for _ in range(40):
    (loss, _), gradient = _train(model, variables, images)
    mean_losses.append(float(loss) / 64)
    if mean_losses[-1] < 0.9 * np.log(CLASSES):
      break
    params = jax.tree.map(
      lambda leaf, slope: leaf - 0.01 * np.sign(slope),
      *map(jax.device_get, (variables["params"], gradient)),
    )
    variables = {**variables, "params": params}
  assert mean_losses[-1] < 0.9 * np.log(CLASSES), mean_losses
  assert mean_losses[-1] < mean_losses[0]


@pytest.mark.matrix("linear", "mlp", "resnet18", "vit_ti16")
@all_small
def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters(name):
  model, variables = _small(name, size=32)
  half, half_variables = _small(name, size=32, dtype="bfloat16")
  assert {x.dtype for x in jax.tree.leaves(half_variables)} == {
    jnp.dtype("float32")
  }
  images = _images(4, 32, 32, 3)
  exact = _logits(model, variables, images)
  rounded = _logits(half, half_variables, images)
  assert rounded.dtype == jnp.float32
  error = np.abs(rounded - exact).max() / np.abs(exact).max()
  assert 1e-5 < error < 5e-2


@pytest.mark.matrix("linear", "mlp", "vit_ti16")
@all_small
def test_sharded_batch_gives_the_results_of_one_device(name):
  model, variables = _small(name)
  mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
  sharded = NamedSharding(mesh, PartitionSpec("batch"))
  replicated = NamedSharding(mesh, PartitionSpec())
  images = _images(64, 16, 16, 3)
  (_, expected), _ = _train(model, variables, images)
  actual = _jit(functools.partial(_train_logits, model))(
    jax.device_put(variables, replicated), jax.device_put(images, sharded)
  )
  # Batch statistics too: those of all eight devices together.
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
    actual,
    expected,
  )


if __name__ == "__main__":
  for each in (*SMALL, *UNLISTED):
    (GOLDEN / f"variables_{each}.txt").write_text(_golden_text(each))
