"""Progressive resizing: the size of the training images grows by the step.

The compiled step has a branch for each size, and the step number chooses it.
Thus the size is a function of the step, as all else: a resumed run has the
right one. Compilation takes as many times longer as there are sizes.

Sources: Howard 2018, Training Imagenet in 3 hours for USD 25; Tan and Le 2021,
EfficientNetV2, Section 4.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.tasks.contract import Batch
from jaxvision.xla import scans

Tree = Any
# (first step, shorter side in pixels), ascending
Sizes = Sequence[tuple[int, int]]


def stage(sizes: Sizes, step: jax.Array) -> jax.Array:
  """The number of the size of a step, () int32; 0 is the full size."""
  starts = jnp.array([start for start, _ in sizes], jnp.int32)
  return jnp.sum(step >= starts, dtype=jnp.int32)


def by_stage(
  gradient: Callable[..., Tree], sizes: Sizes, *, platform: str | None = None
) -> Callable[..., Tree]:
  """Makes gradient(stage, params, model_state, batch, key, *constants).

  Args:
    gradient: (params, model_state, batch, key, *constants) -> a tree whose
      shapes do not depend on the size of the images.
    sizes: see above, at least one.
    platform: for which the step is compiled, see `jaxvision.xla.scans`.
  """

  def at(side: int | None) -> Callable[..., Tree]:
    def branch(params, model_state, batch, key, *constants):
      small = batch if side is None else reduced(batch, side)
      return gradient(params, model_state, small, key, *constants)

    return branch

  branches = [at(None), *(at(side) for _, side in sizes)]
  unused = int(sizes[0][0] == 0)  # no step has the full size

  def chosen(number: jax.Array, *given: Tree) -> Tree:
    return scans.switch(
      number - unused, branches[unused:], *given, platform=platform
    )

  return chosen


def reduced(batch: Batch, side: int) -> dict[str, jax.Array]:
  """A batch whose images have `side` pixels on the shorter side.

  Args:
    batch: "image" (b, h, w, c), uint8 or float. Other fields of this shape,
      such as the partners of pairs, are reduced too.
    side: at most that of the images.

  Returns:
    The batch. A pixel is a mean of the pixels it replaces, with weights that
    fall linearly (triangle filter, as PIL's BILINEAR). uint8 is rounded.
  """
  shape = batch["image"].shape
  return {
    name: _reduced(each, side) if each.shape == shape else each
    for name, each in batch.items()
  }


def reduced_shape(shape: Sequence[int], side: int) -> tuple[int, int, int]:
  """(h, w, c) with this shorter side; the other one keeps the ratio."""
  height, width, channels = shape
  scale = side / min(height, width)
  return round(height * scale), round(width * scale), channels


def _reduced(images: jax.Array, side: int) -> jax.Array:
  shape = (len(images), *reduced_shape(images.shape[1:], side))
  if shape == images.shape:
    return images
  made = jax.image.resize(images.astype(jnp.float32), shape, "linear")
  if jnp.issubdtype(images.dtype, jnp.integer):
    made = jnp.round(made)
  return made.astype(images.dtype)
