"""Heat maps: resized to the image, scaled to [0, 1], drawn over the image.

Maps are (b, h, w) float32. Raw maps have the units of their method; scaled maps
are in [0, 1].
"""

from typing import Literal

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import lookup

COLORS = {
  "jet": cv2.COLORMAP_JET,
  "viridis": cv2.COLORMAP_VIRIDIS,
  "inferno": cv2.COLORMAP_INFERNO,
  "turbo": cv2.COLORMAP_TURBO,
}
Sign = Literal["positive", "both"]
Size = Literal["image", "layer"]


def resized(maps: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Returns (b, h, w) maps at another size, by bilinear interpolation.

  Pixel centres are at half-integers and borders are repeated, as in OpenCV.
  """
  return jax.image.resize(
    maps, (maps.shape[0], *shape), "linear", antialias=False
  )


def finished(
  maps: jax.Array, shape: tuple[int, int], *, sign: Sign, size: Size
) -> jax.Array:
  """Returns the heat maps of the maps of a layer.

  Args:
    maps: (b, rows, columns), raw.
    shape: (h, w) of the images.
    sign: "positive" replaces negative values by 0, "both" keeps them.
    size: "image" resizes to `shape`, "layer" keeps the rows and columns.
  """
  maps = maps.astype(jnp.float32)
  if sign == "positive":
    maps = jnp.maximum(maps, 0)
  return resized(maps, shape) if size == "image" else maps


def scaled(maps: np.ndarray) -> np.ndarray:
  """Returns each map scaled to [0, 1] by its minimum and maximum.

  A constant map becomes 0.

  Args:
    maps: (b, h, w), raw.

  Returns:
    (b, h, w) float32.

  Raises:
    ValueError: a value is not finite.
  """
  maps = np.asarray(maps, np.float32)
  if not np.isfinite(maps).all():
    broken = [i for i, each in enumerate(maps) if not np.isfinite(each).all()]
    raise ValueError(
      f"the maps {broken} have values that are not finite; check the logits of "
      "these images"
    )
  low = maps.min(axis=(1, 2), keepdims=True)
  span = maps.max(axis=(1, 2), keepdims=True) - low
  return (maps - low) / np.where(span > 0, span, 1)


def colored(maps: np.ndarray, *, colors: str = "jet") -> np.ndarray:
  """Returns the colours of scaled maps (b, h, w), (b, h, w, 3) uint8 RGB.

  Raises:
    ValueError: the table of colours is unknown; lists the nearest names.
  """
  if colors not in COLORS:
    raise ValueError(lookup.unknown("table of colours", colors, COLORS))
  levels = np.rint(255 * np.asarray(maps)).astype(np.uint8)
  drawn = [cv2.applyColorMap(each, COLORS[colors]) for each in levels]
  return np.stack(drawn)[..., ::-1]  # OpenCV's order is BGR.


def overlay(
  images: np.ndarray,
  maps: np.ndarray,
  *,
  weight: float = 0.5,
  colors: str = "jet",
) -> np.ndarray:
  """Returns images with coloured heat maps over them, (b, h, w, 3) uint8 RGB.

  Args:
    images: (b, h, w, c) uint8, or float in [0, 1]; c is 1 or 3.
    maps: (b, h', w'), raw or scaled; they are scaled and resized to the images.
    weight: weight of the colours; the image has the rest.
    colors: a key of `COLORS`.

  Raises:
    ValueError: the shapes do not fit, an image is not in [0, 1], or the colours
      are unknown.
  """
  pixels = _pixels(images)
  maps = np.asarray(maps, np.float32)
  if maps.ndim != 3 or len(maps) != len(pixels):
    raise ValueError(
      f"maps have shape {maps.shape}; expected (b, h, w) with one map for each "
      f"of the {len(pixels)} images"
    )
  maps = scaled(maps)
  if maps.shape != pixels.shape[:3]:
    maps = np.asarray(resized(jnp.asarray(maps), pixels.shape[1:3]))
  heat = colored(maps, colors=colors).astype(np.float32)
  return np.rint((1 - weight) * pixels + weight * heat).astype(np.uint8)


def _pixels(images: np.ndarray) -> np.ndarray:
  """Returns images as (b, h, w, 3) float32 in [0, 255]."""
  images = np.asarray(images)
  if images.ndim != 4 or images.shape[-1] not in (1, 3):
    raise ValueError(
      f"images have shape {images.shape}; expected (b, h, w, 1) or (b, h, w, 3)"
    )
  if images.dtype != np.uint8:
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
      raise ValueError(
        f"images have values in [{low:.4g}, {high:.4g}]; expected uint8, or "
        "float in [0, 1]: give the images before the normalisation"
      )
    images = 255 * images
  return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)
