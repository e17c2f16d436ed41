"""Boxes in images, one per image, in pixels.

A box is (top, bottom, left, right), each (n,) int32; bottom and right are the
first row and column outside.
"""

import jax
import jax.numpy as jnp

Box = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def centered(
  key: jax.Array,
  heights: jax.Array,
  widths: jax.Array,
  *,
  image_shape: tuple[int, int],
) -> Box:
  """Boxes around pixels drawn uniformly, clipped to the image.

  Args:
    key: of the centres.
    heights, widths: (n,) int32, before clipping.
    image_shape: (h, w).
  """
  sides = []
  for axis_key, size, length in zip(
    jax.random.split(key), image_shape, (heights, widths), strict=True
  ):
    center = jax.random.randint(axis_key, length.shape, 0, size)
    start = center - length // 2
    sides += [jnp.maximum(start, 0), jnp.minimum(start + length, size)]
  return tuple(sides)


def inside(box: Box, *, image_shape: tuple[int, int]) -> jax.Array:
  """(n, h, w, 1) bool: the pixels of each image that are in its box."""
  top, bottom, left, right = (side.reshape(-1, 1, 1, 1) for side in box)
  rows = jnp.arange(image_shape[0]).reshape(1, -1, 1, 1)
  columns = jnp.arange(image_shape[1]).reshape(1, 1, -1, 1)
  in_rows = (rows >= top) & (rows < bottom)
  return in_rows & (columns >= left) & (columns < right)


def area(box: Box) -> jax.Array:
  """(n,) int32, in pixels."""
  top, bottom, left, right = box
  return (bottom - top) * (right - left)
