"""Colours: grey, hue and the lighting noise of AlexNet."""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

# Principal components of the RGB values, in [0, 1], of the ImageNet training
# images: eigenvalues, and eigenvectors as columns. The paper (Krizhevsky et al.
# 2012, section 4.1) does not list them. These values are from fb.resnet.torch;
# later recipes also use them.
LIGHTING_VALUES = np.array((0.2175, 0.0188, 0.0045))
LIGHTING_VECTORS = np.array(
  (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
  )
)


def grayscale() -> Transform:
  """Grey by luma (ITU-R 601), with as many channels as before."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    if image.shape[2] == 1:
      return image
    return cv2.cvtColor(to_grey(image), cv2.COLOR_GRAY2RGB)

  return transform


def hue(shift: Annotated[float, ranges.Range(-1, 1)]) -> Transform:
  """Rotates the hue by `shift` of the full circle, in [-1, 1].

  Grey images stay unchanged. Computed in float32, because Pillow's 8-bit HSV
  has errors of up to 7 of 255.
  """
  degrees = 360 * (shift % 1)

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    if image.shape[2] == 1:
      return image
    check_rgb(image, "hue")
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] += degrees
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.rint(rgb, out=rgb).astype(np.uint8)

  return transform


def random_lighting(
  *, std: Annotated[float, ranges.Range(0, 10)] = 0.1
) -> Transform:
  """Adds noise along the principal components of ImageNet's colours.

  One colour is added to all pixels of an image: the sum of the components times
  normal random numbers (Krizhevsky et al. 2012, section 4.1).

  Args:
    std: of the normal random numbers; 0.1 in the paper.
  """

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    check_rgb(image, "random_lighting")
    weights = LIGHTING_VALUES * rng.normal(0, std, 3)
    added = 255 * LIGHTING_VECTORS @ weights
    table = np.rint(np.arange(256)[:, None] + added).clip(0, 255)
    return cv2.LUT(image, table[:, None].astype(np.uint8))

  return transform


def to_grey(image: np.ndarray) -> np.ndarray:
  """(h, w, 3) or (h, w, 1) uint8 to luma, (h, w, 1)."""
  import cv2

  if image.shape[2] == 1:
    return image
  check_rgb(image, "grey")
  return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def check_rgb(image: np.ndarray, name: str) -> None:
  """Raises ValueError unless the image has 3 channels."""
  if image.shape[2] != 3:
    raise ValueError(
      f"{name} needs RGB images, but this image has {image.shape[2]} channels; "
      f"set data.channels to 3, or omit {name}"
    )
