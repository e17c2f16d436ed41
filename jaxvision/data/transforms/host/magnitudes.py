"""The strengths of the operations of policies: one table for each policy.

A policy draws an operation and a strength in [0, 1]. The table maps the
strength to the value of the operation. Units are those of operations.py.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Scale:
  """The values of an operation, linear in the strength.

  Attributes:
    start, stop: the values at strengths 0 and 1.
    mirrored: whether the distance from `start` gets a random sign.
    rounding: for operations that need integers.
  """

  start: float = 0.0
  stop: float = 0.0
  mirrored: bool = False
  rounding: Callable[[float], float] = float


def draw_value(
  rng: np.random.Generator, scale: Scale, strength: float
) -> float:
  """The value at a strength; draws only the sign of mirrored scales."""
  distance = strength * (scale.stop - scale.start)
  if scale.mirrored and rng.random() < 0.5:
    distance = -distance
  return scale.rounding(scale.start + distance)


# AutoAugment (Cubuk et al. 2019, Table 6) and the 14 operations of RandAugment
# (Cubuk et al. 2020, section 3). The papers do not define which end of a range
# is the strong one. Here, as in torchvision, more strength is more change.
PAPER = {
  "identity": Scale(),
  "auto_contrast": Scale(),
  "equalize": Scale(),
  "rotate": Scale(0, 30, mirrored=True),
  "solarize": Scale(256, 0),
  "saturation": Scale(1, 1.9, mirrored=True),
  "posterize": Scale(8, 4, rounding=round),
  "contrast": Scale(1, 1.9, mirrored=True),
  "brightness": Scale(1, 1.9, mirrored=True),
  "sharpness": Scale(1, 1.9, mirrored=True),
  "shear_x": Scale(0, 0.3, mirrored=True),
  "shear_y": Scale(0, 0.3, mirrored=True),
  # 150 of 331 pixels, the image size of the search.
  "translate_x": Scale(0, 150 / 331, mirrored=True),
  "translate_y": Scale(0, 150 / 331, mirrored=True),
}

# The code that the authors released with EfficientNet, also used by big_vision:
# 16 operations. Posterize and solarize become weaker with the strength, and the
# enhancements change nothing at 0.5. Recipes also use strengths above 1.
GOOGLE = {
  "auto_contrast": Scale(),
  "equalize": Scale(),
  "invert": Scale(),
  "rotate": Scale(0, 30, mirrored=True),
  "posterize": Scale(0, 4, rounding=math.floor),
  "solarize": Scale(0, 256, rounding=math.floor),
  "saturation": Scale(0.1, 1.9),
  "contrast": Scale(0.1, 1.9),
  "brightness": Scale(0.1, 1.9),
  "sharpness": Scale(0.1, 1.9),
  "shear_x": Scale(0, 0.3, mirrored=True),
  "shear_y": Scale(0, 0.3, mirrored=True),
  "translate_x_pixels": Scale(0, 100, mirrored=True),
  "translate_y_pixels": Scale(0, 100, mirrored=True),
  # Twice the distance from the centre to the side.
  "cutout": Scale(0, 80, rounding=math.floor),
  "solarize_add": Scale(0, 110, rounding=math.floor),
}

# timm's "rand-...-inc1", of DeiT and most recipes after it.
TIMM = {
  "auto_contrast": Scale(),
  "equalize": Scale(),
  "invert": Scale(),
  "rotate": Scale(0, 30, mirrored=True),
  "posterize": Scale(4, 0, rounding=math.ceil),
  "solarize": Scale(256, 0, rounding=math.ceil),
  "solarize_add": Scale(0, 110, rounding=math.floor),
  "saturation": Scale(1, 1.9, mirrored=True),
  "contrast": Scale(1, 1.9, mirrored=True),
  "brightness": Scale(1, 1.9, mirrored=True),
  "sharpness": Scale(1, 1.9, mirrored=True),
  "shear_x": Scale(0, 0.3, mirrored=True),
  "shear_y": Scale(0, 0.3, mirrored=True),
  "translate_x": Scale(0, 0.45, mirrored=True),
  "translate_y": Scale(0, 0.45, mirrored=True),
}

# TrivialAugment Wide (Mueller and Hutter 2021; as in the authors' code).
WIDE = {
  "identity": Scale(),
  "auto_contrast": Scale(),
  "equalize": Scale(),
  "rotate": Scale(0, 135, mirrored=True),
  "solarize": Scale(256, 0, rounding=math.ceil),
  "saturation": Scale(0.01, 2),
  "posterize": Scale(8, 2, rounding=math.ceil),
  "contrast": Scale(0.01, 2),
  "brightness": Scale(0.01, 2),
  "sharpness": Scale(0.01, 2),
  "shear_x": Scale(0, 0.99, mirrored=True),
  "shear_y": Scale(0, 0.99, mirrored=True),
  "translate_x_pixels": Scale(0, 32, mirrored=True),
  "translate_y_pixels": Scale(0, 32, mirrored=True),
}
