"""Occlusion and RISE: the score of images of which a part is hidden.

Hidden pixels have a value in normalised units: 0 is the mean colour of the
data. Several images are computed one after another by one compiled function.
(Convolutions in a loop of XLA:CPU are slow.)
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision.interpret import scores
from jaxvision.interpret.scores import Attribution
from jaxvision.lookup import ranges

Tree = Any
_TOGETHER = 64  # images of one forward pass


def occlusion(
  *,
  window: ranges.Count | None = None,
  stride: ranges.Count | None = None,
  fill: float = 0.0,
  score: scores.Kind = "probability",
) -> Attribution:
  """The loss of score by a hidden window, the mean over windows of a pixel.

  Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks,
  section 4.2. The last window of a row ends with the image.

  Args:
    window: side of the square window, in pixels; None for a seventh of the
      image's shorter side.
    stride: distance of neighbouring windows; None for half of the window.
    fill: value of hidden pixels.
    score: "probability", as in the paper, or "logit".
  """
  return functools.partial(
    _occlusion, window=window, stride=stride, fill=fill, score=score
  )


def _occlusion(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  window: int | None,
  stride: int | None,
  fill: float,
  score: scores.Kind,
) -> jax.Array:
  h, w = images.shape[1:3]
  window = window or max(1, min(h, w) // 7)
  stride = stride or max(1, window // 2)
  if window > min(h, w):
    raise ValueError(
      f"window {window} is larger than images of {h}x{w}; use at most "
      f"{min(h, w)}"
    )
  measure = functools.partial(
    scores.scores, model, variables, targets=targets, kind=score
  )
  whole = measure(images)
  loss = counts = jnp.zeros(images.shape[:3])
  for top in starts(h, window=window, stride=stride):
    for left in starts(w, window=window, stride=stride):
      hidden = jnp.zeros((1, h, w))
      hidden = hidden.at[:, top : top + window, left : left + window].set(1)
      seen = jnp.where(hidden[..., None] > 0, fill, images)
      loss += hidden * (whole - measure(seen))[:, None, None]
      counts += hidden
  # With a stride above the window, some pixels are never hidden.
  return loss / jnp.maximum(counts, 1)


def starts(size: int, *, window: int, stride: int) -> list[int]:
  """Returns the first pixels of the windows of a line; the last one fits."""
  last = size - window
  return sorted({*range(0, last, stride), last})


def rise(
  *,
  masks: ranges.Count = 8000,
  cells: ranges.Count = 7,
  seen: ranges.Probability = 0.5,
  seed: ranges.Whole = 0,
) -> Attribution:
  """The mean of random masks, weighted by the probability of the masked image.

  Petsiuk et al. 2018, RISE, equation 6: sum of p M / (masks * seen). All images
  have the same masks.

  Args:
    masks: number of masks; 8000 for ResNet-50 in the paper.
    cells: rows and columns of the random cells.
    seen: probability of a cell to be seen.
    seed: of the masks.
  """
  return functools.partial(
    _rise, masks=masks, cells=cells, seen=seen, seed=seed
  )


def _rise(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  masks: int,
  cells: int,
  seen: float,
  seed: int,
) -> jax.Array:
  if seen == 0:
    raise ValueError("seen is 0, so all masks are empty; use more, such as 0.5")
  step = min(masks, max(1, _TOGETHER // len(images)))
  total = jnp.zeros(images.shape[:3])
  for first in range(0, masks, step):
    total += _weighted_masks(
      model,
      variables,
      images,
      targets,
      jnp.arange(first, first + step),
      masks,
      seed,
      cells=cells,
      seen=seen,
    )
  return total / (masks * seen)


@functools.partial(jax.jit, static_argnames=("model", "cells", "seen"))
def _weighted_masks(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  numbers: jax.Array,
  masks: jax.Array,
  seed: jax.Array,
  *,
  cells: int,
  seen: float,
) -> jax.Array:
  """Returns the sum of p M over some masks, (b, h, w).

  Numbers from `masks` on fill the last group, and have no weight.
  """
  b, h, w, c = images.shape
  drawn = draw_masks(
    jax.random.key(seed), numbers, shape=(h, w), cells=cells, seen=seen
  )
  masked = images[:, None] * drawn[None, ..., None]
  found = scores.scores(
    model,
    variables,
    masked.reshape(-1, h, w, c),
    jnp.repeat(targets, len(numbers)),
    kind="probability",
  ).reshape(b, -1)
  found = jnp.where((numbers < masks)[None], found, 0)
  return jnp.einsum("bm,mhw->bhw", found, drawn)


def draw_masks(
  key: jax.Array,
  numbers: jax.Array,
  *,
  shape: tuple[int, int],
  cells: int,
  seen: float,
) -> jax.Array:
  """Returns random masks, (m, h, w) in [0, 1]; each pixel has the mean `seen`.

  RISE, section 3.2: cells that are seen with a probability, enlarged bilinearly
  to one cell more than the image, and cropped at a random shift.

  Args:
    key: of all masks.
    numbers: (m,), the number of each mask; a mask depends on its number only.
    shape: (h, w).
    cells: rows and columns of the random cells.
    seen: probability of a cell to be seen.
  """
  sides = [math.ceil(size / cells) for size in shape]
  larger = [(cells + 1) * side for side in sides]

  def draw(number: jax.Array) -> jax.Array:
    of_cells, of_shift = jax.random.split(jax.random.fold_in(key, number))
    grid = jax.random.bernoulli(of_cells, seen, (cells, cells))
    mask = jax.image.resize(grid.astype(jnp.float32), larger, "linear")
    shift = jax.random.randint(of_shift, (2,), 0, jnp.asarray(sides))
    return jax.lax.dynamic_slice(mask, shift, shape)

  return jax.vmap(draw)(numbers)
