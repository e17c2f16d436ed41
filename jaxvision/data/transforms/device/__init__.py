"""Transforms of a batch inside the compiled step: (key, batch) -> batch.

The batch is `{image (b, h, w, c) float32 normalised, targets (b, k) float32,
mask (b,) float32}`; the shapes do not change. The random numbers of an example
depend on its position in the global batch, so the result does not depend on the
number of devices.

After normalisation 0 is the mean colour of the data, not black. "zero" padding
uses this value, as in papers that pad images after subtracting the mean. The
default "edge" repeats the border and works with any normalisation.

A user-defined transform is written as "my_aug.py:random_noise(scale=0.1)": a
function that takes the options and returns the transform.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxvision import lookup, user_code
from jaxvision.data.transforms.device import erasing, geometry, mixing
from jaxvision.data.transforms.device.normalization import (
  Normalization,
  normalize,
  to_pixels,
)

__all__ = [
  "TRANSFORMS",
  "Normalization",
  "make_device_transform",
  "moves_pixels",
  "normalize",
  "to_pixels",
]

Batch = Mapping[str, jax.Array]
BatchTransform = Callable[[jax.Array, Batch], Batch]

TRANSFORMS: dict[str, Callable[..., BatchTransform]] = {
  "random_crop": geometry.random_crop,
  "random_cutmix": mixing.random_cutmix,
  "random_cutout": erasing.random_cutout,
  "random_erasing": erasing.random_erasing,
  "random_flip": geometry.random_flip,
  "random_mixup": mixing.random_mixup,
  "random_mixup_or_cutmix": mixing.random_mixup_or_cutmix,
  "random_quarter_turn": geometry.random_quarter_turn,
}
_IN_PLACE = ("random_cutout", "random_erasing")


def make_device_transform(
  calls: Sequence[str],
) -> Callable[[jax.Array, Batch], dict[str, jax.Array]]:
  """Makes a transform of batches from text.

  Args:
    calls: such as ("random_flip", "random_mixup(0.1)"); may be empty.

  Raises:
    ValueError: an unknown transform, or invalid arguments.
  """
  transforms = list(map(_make, calls))

  def transform(key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    for number, apply in enumerate(transforms):
      batch = apply(jax.random.fold_in(key, number), batch)
    return dict(batch)

  return transform


def moves_pixels(call: str) -> bool:
  """Whether a built-in transform moves pixels or mixes images."""
  name = user_code.name_of(call)
  return name not in _IN_PLACE and not user_code.is_own(call)


def _make(text: str) -> BatchTransform:
  made = lookup.call(text, functions=TRANSFORMS, kind="device transform")
  if not user_code.is_own(text):
    return made
  name = user_code.as_written(text)
  if not callable(made):
    raise ValueError(
      f"device transform {name} returned {type(made).__name__}; expected a "
      "function (key, batch) -> batch"
    )

  def checked(key: jax.Array, batch: Batch) -> Batch:
    found = made(key, batch)
    if _layout(found) != _layout(batch):
      raise ValueError(
        f"device transform {name} made {_layout(found)} of {_layout(batch)}; "
        "fields, shapes and types must not change"
      )
    return found

  return checked


def _layout(batch: Any) -> dict[str, str] | str:
  """{"image": "float32[8,4,4,3]", ...} for a batch; else the type."""
  if not isinstance(batch, Mapping):
    return type(batch).__name__
  return {
    name: f"{each.dtype}{list(each.shape)}"
    for name, each in sorted(batch.items())
  }
