"""The operations of RandAugment, AutoAugment and TrivialAugment, by name.

Each entry makes a transform from a value and a fill colour.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxvision.data.transforms.host import (
  affine,
  arguments,
  enhancement,
  erasing,
  tone,
)

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

OPERATIONS: dict[str, Callable[[float, arguments.Fill], Transform]] = {
  "identity": lambda value, fill: lambda rng, image: image,
  "auto_contrast": lambda value, fill: tone.auto_contrast(),
  "equalize": lambda value, fill: tone.equalize(),
  "invert": lambda value, fill: tone.invert(),
  # Number of kept bits, and thresholds; values beyond the range change nothing.
  "posterize": lambda value, fill: tone.posterize(min(int(value), 8)),
  "solarize": lambda value, fill: tone.solarize(min(value, 256)),
  "solarize_add": lambda value, fill: tone.solarize_add(min(int(value), 256)),
  # Factors; 1 changes nothing.
  "brightness": lambda value, fill: enhancement.brightness(value),
  "contrast": lambda value, fill: enhancement.contrast(value),
  "saturation": lambda value, fill: enhancement.saturation(value),
  "sharpness": lambda value, fill: enhancement.sharpness(value),
  # Degrees, slopes, shares of the side, and pixels.
  "rotate": lambda value, fill: affine.rotate(value, fill=fill),
  "shear_x": lambda value, fill: affine.shear(x=value, fill=fill),
  "shear_y": lambda value, fill: affine.shear(y=value, fill=fill),
  "translate_x": lambda value, fill: affine.translate(x=value, fill=fill),
  "translate_y": lambda value, fill: affine.translate(y=value, fill=fill),
  "translate_x_pixels": lambda value, fill: affine.translate(
    x=value, unit="pixels", fill=fill
  ),
  "translate_y_pixels": lambda value, fill: affine.translate(
    y=value, unit="pixels", fill=fill
  ),
  "cutout": lambda value, fill: erasing.random_cutout(int(value), fill=fill),
}
_MOVING = ("rotate", "shear_", "translate_")


@dataclasses.dataclass(frozen=True)
class Drawn:
  """A transform that draws its operations for each image.

  Attributes:
    draw: rng -> names and values of the operations.
    fill: colour of pixels from outside of the image.
  """

  draw: Callable[[np.random.Generator], list[tuple[str, float]]]
  fill: arguments.Fill

  def __call__(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return apply(rng, image, self.draw(rng), self.fill)

  def move_mask(self, rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Applies those of the same operations that move pixels."""
    drawn = [each for each in self.draw(rng) if each[0].startswith(_MOVING)]
    return apply(rng, mask, drawn, 0)


def apply(
  rng: np.random.Generator,
  image: np.ndarray,
  drawn: list[tuple[str, float]],
  fill: arguments.Fill,
) -> np.ndarray:
  """Applies operations, given by names and values, one after another."""
  for name, value in drawn:
    image = OPERATIONS[name](value, fill)(rng, image)
  return image
