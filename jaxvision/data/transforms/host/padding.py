"""Padding of images."""

from collections.abc import Callable

import numpy as np

from jaxvision import lookup
from jaxvision.data.transforms.host import arguments

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

MODES = {
  "edge": "BORDER_REPLICATE",
  "reflect": "BORDER_REFLECT_101",
  "zero": "BORDER_CONSTANT",
  "constant": "BORDER_CONSTANT",
}


def pad(
  padding: arguments.Length, *, mode: str = "edge", fill: arguments.Fill = 0
) -> Transform:
  """Adds `padding` pixels on each side.

  Args:
    padding: in pixels.
    mode: the added pixels: "edge" repeats edge pixels; "reflect" mirrors the
      image at its edge pixels; "zero" is black; "constant" is `fill`.
    fill: the colour of "constant".
  """
  if mode not in MODES:
    raise ValueError(lookup.unknown("mode", str(mode), MODES))
  if fill != 0 and mode != "constant":
    raise ValueError(f'fill {fill} is for mode "constant", not {mode!r}')

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    if mode == "reflect" and padding >= min(image.shape[:2]):
      raise ValueError(
        f"an image of {image.shape[0]}x{image.shape[1]} pixels is too small to "
        f'reflect {padding} pixels; use mode "edge"'
      )
    added = cv2.copyMakeBorder(
      image,
      *(padding,) * 4,
      getattr(cv2, MODES[mode]),
      value=arguments.fill_of_channels(fill, image.shape[2]),
    )
    return added.reshape(*added.shape[:2], image.shape[2])

  return transform
