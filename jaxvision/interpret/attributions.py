"""Attributions: heat maps of an image for a class, by the name of a method.

A method is written as a call: "gradcam", "gradcam(layer='layer4_1')",
"smoothgrad(samples=20)". The functions in `ATTRIBUTIONS` take its options and
return the attribution,

  (model, variables, images (b, h, w, c), targets (b,)) -> (b, h, w) float32

with maps at the size of the images, if no option says otherwise. It compiles
what it computes, once for a model and a shape. The map of an image does not
depend on the other images. The user's own method is "my_method.py:create(k=3)",
such a function in a file.
"""

import functools
from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import lookup
from jaxvision.interpret import (
  attention,
  class_activation,
  feature_maps,
  gradients,
  masking,
  pooled_map,
  rollout,
)
from jaxvision.interpret.scores import Attribution
from jaxvision.variables import one_image, variable_shapes

Tree = Any

_OF_PIXELS = {
  "gradient": gradients.gradient,
  "x_gradient": gradients.x_gradient,
  "smoothgrad": gradients.smoothgrad,
  "integrated_gradients": gradients.integrated_gradients,
  "occlusion": masking.occlusion,
  "rise": masking.rise,
}
_OF_POOLED_MAPS = {"cam": pooled_map.cam}
_OF_MAPS = {
  "gradcam": class_activation.gradcam,
  "gradcam_pp": class_activation.gradcam_pp,
  "hirescam": class_activation.hirescam,
  "layercam": class_activation.layercam,
}
_OF_ATTENTION = {
  "attention": attention.attention,
  "rollout": rollout.rollout,
  "gradient_rollout": rollout.gradient_rollout,
}
_OF_FEW_TOKENS = {"flow": rollout.flow}
ATTRIBUTIONS: dict[str, Callable[..., Attribution]] = {
  **_OF_POOLED_MAPS,
  **_OF_MAPS,
  **_OF_ATTENTION,
  **_OF_FEW_TOKENS,
  **_OF_PIXELS,
}
# What methods need of a model.
_CHECKS = (
  (pooled_map.check, _OF_POOLED_MAPS),
  (feature_maps.check, _OF_MAPS),
  (attention.check, _OF_ATTENTION),
  (rollout.check_flow, _OF_FEW_TOKENS),
)


def create(method: str) -> Attribution:
  """Returns the attribution that a call describes, "smoothgrad(samples=20)".

  Raises:
    ValueError: the method or an option is unknown; lists the nearest names.
  """
  return lookup.call(
    method, functions=ATTRIBUTIONS, kind="method of attribution"
  )


def fitting(
  model: nn.Module,
  *,
  image_shape: tuple[int, int, int],
  among: Collection[str] = tuple(ATTRIBUTIONS),
) -> tuple[str, ...]:
  """Returns the names of the methods that fit a model, which is only traced.

  Args:
    model: any model.
    image_shape: (h, w, c) of its images.
    among: the names that are considered. Fewer names need fewer traces.
  """
  shapes = variable_shapes(model, image_shape=image_shape)
  names = []
  for check, methods in _CHECKS:
    considered = [name for name in methods if name in among]
    try:
      if considered:
        check(model, shapes, one_image(image_shape))
    except ValueError:
      continue
    names += considered
  return (*names, *(name for name in _OF_PIXELS if name in among))


def check_options(
  method: str, model: nn.Module, *, image_shape: tuple[int, int, int]
) -> None:
  """Raises ValueError for options that do not fit a model, which is traced.

  Such options are a layer that the model lacks, or a window larger than the
  image. Methods of the user and "flow", which is not traceable, are not
  checked.

  Args:
    method: a call of a method that fits the model.
    model: any model.
    image_shape: (h, w, c) of its images.
  """
  name, _, options = method.partition("(")
  if not options or name.strip() not in ATTRIBUTIONS:
    return
  if name.strip() in _OF_FEW_TOKENS:
    return
  jax.eval_shape(
    functools.partial(create(method), model),
    variable_shapes(model, image_shape=image_shape),
    one_image(image_shape),
    jax.ShapeDtypeStruct((1,), jnp.int32),
  )


def attribute(
  method: str,
  model: nn.Module,
  variables: Tree,
  images: np.ndarray | jax.Array,
  targets: np.ndarray | jax.Array,
  *,
  batch_size: int = 64,
) -> np.ndarray:
  """Returns the heat maps of a method, in parts that fit into memory.

  Args:
    method: a call of a function in `ATTRIBUTIONS`, such as "gradcam".
    model: any model; it is not changed.
    variables: the variables of the model.
    images: (n, h, w, c), normalised.
    targets: (n,), the class that is explained of each image.
    batch_size: images that are computed together. The last part is filled with
      copies, so that one shape is compiled.

  Returns:
    (n, h, w) float32, raw; see `heat_maps.scaled`.

  Raises:
    ValueError: the method is unknown, or does not fit the model (the message
      lists those that fit), or images or targets are invalid.
  """
  compute = create(method)
  images, targets = _checked(images, targets, num_classes=model.num_classes)
  size = min(batch_size, len(images))
  parts = []
  for start in range(0, len(images), size):
    taken = np.minimum(np.arange(start, start + size), len(images) - 1)
    part = jnp.asarray(images[taken]), jnp.asarray(targets[taken])
    try:
      maps = compute(model, variables, *part)
    except ValueError as error:
      fits = fitting(model, image_shape=images.shape[1:])
      name = method.partition("(")[0].strip()
      if name in fits or name not in ATTRIBUTIONS:
        raise
      raise ValueError(
        f"{error}; methods that fit: {', '.join(fits)}"
      ) from error
    parts.append(np.asarray(maps, np.float32))
  return np.concatenate(parts)[: len(images)]


def _checked(
  images: Any, targets: Any, *, num_classes: int
) -> tuple[np.ndarray | jax.Array, np.ndarray]:
  """Returns images as given, and targets as int32."""
  if images.ndim != 4 or not len(images):
    raise ValueError(
      f"images have shape {images.shape}; expected (n, h, w, c) with n above 0"
    )
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(
      f"images are {images.dtype}; expected normalised float images"
    )
  targets = np.asarray(targets)
  if targets.shape != images.shape[:1]:
    raise ValueError(
      f"targets have shape {targets.shape}; expected one class for each of the "
      f"{len(images)} images, ({len(images)},)"
    )
  whole = np.issubdtype(targets.dtype, np.integer)
  if not whole or targets.min() < 0 or targets.max() >= num_classes:
    raise ValueError(
      f"targets are {targets.dtype} from {targets.min()} to {targets.max()}; "
      f"expected integers from 0 to {num_classes - 1}"
    )
  return images, targets.astype(np.int32)
