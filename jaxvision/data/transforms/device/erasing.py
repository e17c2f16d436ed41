"""Erasing of a region of each image."""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxvision.data.transforms.device import boxes
from jaxvision.lookup import ranges

Batch = Mapping[str, jax.Array]
BatchTransform = Callable[[jax.Array, Batch], Batch]

# Rectangles that are drawn; the first one that is smaller than the image is
# used. With the paper's distributions, one of 25 is too long for a square
# image.
_ATTEMPTS = 10
_FILLS = ("pixel", "mean")
_RATIO_LAWS = ("uniform", "log_uniform")


def random_cutout(
  length: ranges.Count, *, p: ranges.Probability = 1.0
) -> BatchTransform:
  """Sets a square to 0, the mean colour of the data (DeVries & Taylor 2017).

  The centre is any pixel, so the square may extend over the border.

  Args:
    length: side of the square, in pixels. The paper uses 16 for CIFAR-10 and 8
      for CIFAR-100 with crops and flips, for images of 32 x 32 pixels.
    p: probability for each image.
  """

  def transform(key: jax.Array, batch: Batch) -> Batch:
    box_key, p_key = jax.random.split(key)
    count, height, width, _ = batch["image"].shape
    lengths = jnp.full(count, length)
    box = boxes.centered(box_key, lengths, lengths, image_shape=(height, width))
    return _cover(batch, box, jnp.zeros(()), p_key, p)

  return transform


def random_erasing(
  *,
  p: ranges.Probability = 0.5,
  scale: tuple[float, float] = (0.02, 0.4),
  ratio: tuple[float, float] = (0.3, 1 / 0.3),
  ratio_law: str = "uniform",
  fill: str | float = "pixel",
) -> BatchTransform:
  """Covers a rectangle inside the image (Zhong et al. 2020).

  Area and ratio are drawn until the rectangle is smaller than the image; then
  its position is uniform. The authors' code, torchvision and timm do the same.
  (Algorithm 1 of the paper also rejects positions, which makes small rectangles
  more frequent.)

  Args:
    p: probability for each image.
    scale: minimum and maximum area, as fractions of the image; uniform.
    ratio: minimum and maximum height / width.
    ratio_law: distribution of the ratio: "uniform" as in the paper, or
      "log_uniform" as in torchvision and timm, where wide and high rectangles
      are equally frequent.
    fill: "pixel" is noise of mean 0 and variance 1 in every value, uniform as
      in the paper (normal in timm); "mean" is the mean colour of the image; a
      number is in the units of the normalised image, where 0 is the mean colour
      of the data.
  """
  _check_laws(scale, ratio, ratio_law)
  if isinstance(fill, str) and fill not in _FILLS:
    raise ValueError(
      f"fill is {fill!r}; it must be a number or one of {_FILLS}"
    )

  def transform(key: jax.Array, batch: Batch) -> Batch:
    size_key, place_key, fill_key, p_key = jax.random.split(key, 4)
    images = batch["image"]
    sizes = _rectangles(size_key, images.shape, scale, ratio, ratio_law)
    box = _placed(place_key, sizes, images.shape)
    return _cover(batch, box, _filling(fill_key, images, fill), p_key, p)

  return transform


def _check_laws(scale, ratio, ratio_law: str) -> None:
  if not 0 < scale[0] <= scale[1] <= 1:
    raise ValueError(
      f"scale is {scale}; it must be two increasing fractions of 1"
    )
  if not 0 < ratio[0] <= ratio[1]:
    raise ValueError(
      f"ratio is {ratio}; it must be two increasing positive numbers"
    )
  if ratio_law not in _RATIO_LAWS:
    raise ValueError(
      f"ratio_law is {ratio_law!r}; it must be one of {_RATIO_LAWS}"
    )


def _rectangles(
  key: jax.Array,
  shape: tuple[int, ...],
  scale: tuple[float, float],
  ratio: tuple[float, float],
  ratio_law: str,
) -> tuple[jax.Array, jax.Array]:
  """Heights and widths (b,) int32; 0 if no attempt was small enough."""
  count, height, width, _ = shape
  area_key, ratio_key = jax.random.split(key)
  attempts = (count, _ATTEMPTS)
  areas = jax.random.uniform(
    area_key, attempts, minval=scale[0], maxval=scale[1]
  )
  areas *= height * width
  if ratio_law == "uniform":
    ratios = jax.random.uniform(
      ratio_key, attempts, minval=ratio[0], maxval=ratio[1]
    )
  else:
    low, high = map(math.log, ratio)
    ratios = jnp.exp(
      jax.random.uniform(ratio_key, attempts, minval=low, maxval=high)
    )
  heights = jnp.round(jnp.sqrt(areas * ratios)).astype(jnp.int32)
  widths = jnp.round(jnp.sqrt(areas / ratios)).astype(jnp.int32)
  fits = (heights < height) & (widths < width)
  first = fits & (jnp.cumsum(fits, axis=1) == 1)
  return (first * heights).sum(1), (first * widths).sum(1)


def _placed(
  key: jax.Array, sizes: tuple[jax.Array, jax.Array], shape: tuple[int, ...]
) -> boxes.Box:
  sides = []
  for axis_key, length, size in zip(
    jax.random.split(key), sizes, shape[1:3], strict=True
  ):
    start = jax.random.randint(axis_key, length.shape, 0, size - length + 1)
    sides += [start, start + length]
  return tuple(sides)


def _filling(key: jax.Array, images: jax.Array, fill: str | float) -> jax.Array:
  if fill == "pixel":
    return _noise(key, images.shape)
  if fill == "mean":
    return images.mean((1, 2), keepdims=True)
  return jnp.full((), fill, jnp.float32)


def _noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Uniform noise of 1024 values, mean 0 and variance 1.

  Three channels share one random word. This is a dozen times faster than one
  word per value; the noise is drawn for complete images, not only for the
  rectangles.
  """
  *pixels, channels = shape
  words = jax.random.bits(key, (*pixels, -(-channels // 3), 1), jnp.uint32)
  shifts = jnp.arange(0, 30, 10, dtype=jnp.uint32).reshape(*[1] * len(shape), 3)
  values = ((words >> shifts) & 1023).reshape(*pixels, -1)[..., :channels]
  return (values.astype(jnp.float32) - 511.5) * math.sqrt(12 / (1024**2 - 1))


def _cover(
  batch: Batch, box: boxes.Box, filling: jax.Array, key: jax.Array, p: float
) -> Batch:
  """Puts the filling into the box of each image with probability `p`."""
  images = batch["image"]
  covered = boxes.inside(box, image_shape=images.shape[1:3])
  covered &= jax.random.bernoulli(key, p, (len(images), 1, 1, 1))
  return {**batch, "image": jnp.where(covered, filling, images)}
