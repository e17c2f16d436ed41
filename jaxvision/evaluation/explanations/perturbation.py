"""Deletion and insertion: the probability of a class as pixels disappear.

Petsiuk, Das and Saenko 2018 (RISE, arXiv 1806.07421), section 4.1, with the
numbers of their code. Pixels change in the order of falling saliency, all
channels together, `step` pixels at a time. Deletion replaces the pixels of the
image by zeros in normalised units, the mean colour of the data. Insertion
replaces the pixels of a blurred image by those of the image. The measure is the
area under the curve of the probability: a good map has a small one in deletion
and a large one in insertion.
"""

import functools
import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import interpret

Tree = Any
Form = Literal["deletion", "insertion"]

# The blur of the image in which insertion starts.
BLUR_SIDE, BLUR_SIGMA = 11, 5.0
_STEPS = 28  # of the published figures: 224 rows, 8 rows at a time
_TOGETHER = 64  # images of one forward pass


def area(scores: np.ndarray) -> np.ndarray:
  """The area under curves (..., n) with values at equal distances.

  The trapezoidal rule over [0, 1]: the ends count half.
  """
  ends = (scores[..., 0] + scores[..., -1]) / 2
  return (scores.sum(axis=-1) - ends) / (scores.shape[-1] - 1)


def blur_kernel() -> np.ndarray:
  """The kernel of the blur, (11, 11) float64; its sum is 1.

  An impulse in 11x11 pixels, filtered by a Gaussian of sigma 5 with reflecting
  borders. It is nearly a box filter.
  """
  from scipy import ndimage

  impulse = np.zeros((BLUR_SIDE, BLUR_SIDE))
  impulse[BLUR_SIDE // 2, BLUR_SIDE // 2] = 1
  return ndimage.gaussian_filter(impulse, BLUR_SIGMA, mode="reflect")


@jax.jit
def blurred(images: jax.Array) -> jax.Array:
  """Images (b, h, w, c), each channel blurred, with zeros outside."""
  b, h, w, c = images.shape
  kernel = jnp.asarray(blur_kernel(), images.dtype)[..., None, None]
  planes = jnp.moveaxis(images, -1, 1).reshape(b * c, h, w, 1)
  planes = jax.lax.conv_general_dilated(
    planes, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  return jnp.moveaxis(planes.reshape(b, c, h, w), 1, -1)


def ranks(maps: np.ndarray) -> np.ndarray:
  """The position of each pixel in the order of falling saliency.

  Equal pixels are in the order of rows and columns.

  Args:
    maps: (b, h, w).

  Returns:
    (b, h, w) int32; 0 is the most salient pixel.
  """
  flat = np.asarray(maps).reshape(len(maps), -1)
  order = np.argsort(-flat, axis=1, kind="stable")
  found = np.empty(flat.shape, np.int32)
  numbers = np.arange(flat.shape[1], dtype=np.int32)
  np.put_along_axis(found, order, numbers[None], axis=1)
  return found.reshape(maps.shape)


def curves(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  maps: np.ndarray,
  targets: np.ndarray,
  *,
  form: Form,
  step: int | None = None,
) -> np.ndarray:
  """The probability of each target while pixels change, (b, n + 1) float32.

  n is ceil(h w / step); both ends of the curve are included.

  Args:
    model: a classifier.
    variables: of the model.
    images: (b, h, w, c) float32, normalised.
    maps: (b, h, w), the saliency.
    targets: (b,), the class whose probability is measured.
    form: "deletion" or "insertion".
    step: pixels that change at a time; None for a 28th of the image, which is
      8 rows of 224 pixels.
  """
  images = jnp.asarray(images, jnp.float32)
  pixels = images.shape[1] * images.shape[2]
  step = step or math.ceil(pixels / _STEPS)
  counts = np.arange(math.ceil(pixels / step) + 1) * step
  start, end = (
    (images, jnp.zeros_like(images))
    if form == "deletion"
    else (blurred(images), images)
  )
  order, targets = jnp.asarray(ranks(maps)), jnp.asarray(targets)
  size = min(len(counts), max(1, _TOGETHER // len(images)))
  parts = [
    _probabilities(
      model,
      variables,
      start,
      end,
      order,
      targets,
      # The last part is filled, so that one shape is compiled.
      counts[np.minimum(np.arange(first, first + size), len(counts) - 1)],
    )
    for first in range(0, len(counts), size)
  ]
  return np.concatenate(parts, axis=1)[:, : len(counts)]


@functools.partial(jax.jit, static_argnames="model")
def _probabilities(
  model: nn.Module,
  variables: Tree,
  start: jax.Array,
  end: jax.Array,
  order: jax.Array,
  targets: jax.Array,
  counts: jax.Array,
) -> jax.Array:
  """The probabilities after each number of changed pixels, (b, t)."""
  changed = order[:, None] < counts[None, :, None, None]
  seen = jnp.where(changed[..., None], end[:, None], start[:, None])
  found = interpret.scores.scores(
    model,
    variables,
    seen.reshape(-1, *start.shape[1:]),
    jnp.repeat(targets, len(counts)),
    kind="probability",
  )
  return found.reshape(len(start), len(counts))
