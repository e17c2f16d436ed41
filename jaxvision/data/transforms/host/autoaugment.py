"""AutoAugment: the published policies of its authors (Cubuk et al. 2019).

A policy has 25 sub-policies. One of them is drawn for each image. It has two
operations, each with a probability and a magnitude from 0 to 9.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from jaxvision import lookup
from jaxvision.data.transforms.host import arguments, magnitudes, operations

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]
Policy = tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...]

# Table 9 of the paper; the last five repeat earlier ones.
IMAGENET: Policy = (
  (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
  (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
  (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
  (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
  (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
  (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
  (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
  (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
  (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
  (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
  (("rotate", 0.8, 8), ("saturation", 0.4, 0)),
  (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
  (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
  (("invert", 0.6, 4), ("equalize", 1.0, 8)),
  (("saturation", 0.6, 4), ("contrast", 1.0, 8)),
  (("rotate", 0.8, 8), ("saturation", 1.0, 2)),
  (("saturation", 0.8, 8), ("solarize", 0.8, 7)),
  (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
  (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
  (("saturation", 0.4, 0), ("equalize", 0.6, 3)),
  (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
  (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
  (("invert", 0.6, 4), ("equalize", 1.0, 8)),
  (("saturation", 0.6, 4), ("contrast", 1.0, 8)),
  (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)

# Table 7.
CIFAR10: Policy = (
  (("invert", 0.1, 7), ("contrast", 0.2, 6)),
  (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
  (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
  (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
  (("auto_contrast", 0.5, 8), ("equalize", 0.9, 2)),
  (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
  (("saturation", 0.4, 3), ("brightness", 0.6, 7)),
  (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
  (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
  (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
  (("saturation", 0.7, 7), ("translate_x", 0.5, 8)),
  (("equalize", 0.3, 7), ("auto_contrast", 0.4, 8)),
  (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
  (("brightness", 0.9, 6), ("saturation", 0.2, 8)),
  (("solarize", 0.5, 2), ("invert", 0.0, 3)),
  (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
  (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
  (("saturation", 0.9, 9), ("equalize", 0.6, 6)),
  (("auto_contrast", 0.8, 4), ("solarize", 0.2, 8)),
  (("brightness", 0.1, 3), ("saturation", 0.7, 0)),
  (("solarize", 0.4, 5), ("auto_contrast", 0.9, 3)),
  (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
  (("auto_contrast", 0.9, 2), ("solarize", 0.8, 3)),
  (("equalize", 0.8, 8), ("invert", 0.1, 3)),
  (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 1)),
)

# Table 8.
SVHN: Policy = (
  (("shear_x", 0.9, 4), ("invert", 0.2, 3)),
  (("shear_y", 0.9, 8), ("invert", 0.7, 5)),
  (("equalize", 0.6, 5), ("solarize", 0.6, 6)),
  (("invert", 0.9, 3), ("equalize", 0.6, 3)),
  (("equalize", 0.6, 1), ("rotate", 0.9, 3)),
  (("shear_x", 0.9, 4), ("auto_contrast", 0.8, 3)),
  (("shear_y", 0.9, 8), ("invert", 0.4, 5)),
  (("shear_y", 0.9, 5), ("solarize", 0.2, 6)),
  (("invert", 0.9, 6), ("auto_contrast", 0.8, 1)),
  (("equalize", 0.6, 3), ("rotate", 0.9, 3)),
  (("shear_x", 0.9, 4), ("solarize", 0.3, 3)),
  (("shear_y", 0.8, 8), ("invert", 0.7, 4)),
  (("equalize", 0.9, 5), ("translate_y", 0.6, 6)),
  (("invert", 0.9, 4), ("equalize", 0.6, 7)),
  (("contrast", 0.3, 3), ("rotate", 0.8, 4)),
  (("invert", 0.8, 5), ("translate_y", 0.0, 2)),
  (("shear_y", 0.7, 6), ("solarize", 0.4, 8)),
  (("invert", 0.6, 4), ("rotate", 0.8, 4)),
  (("shear_y", 0.3, 7), ("translate_x", 0.9, 3)),
  (("shear_x", 0.1, 6), ("invert", 0.6, 5)),
  (("solarize", 0.7, 2), ("translate_y", 0.6, 7)),
  (("shear_y", 0.8, 4), ("invert", 0.8, 8)),
  (("shear_x", 0.7, 9), ("translate_y", 0.8, 3)),
  (("shear_y", 0.8, 5), ("auto_contrast", 0.7, 3)),
  (("shear_x", 0.7, 2), ("invert", 0.1, 5)),
)

# The policy "v0" of the authors' code, used for training EfficientNet.
V0: Policy = (
  (("equalize", 0.8, 1), ("shear_y", 0.8, 4)),
  (("saturation", 0.4, 9), ("equalize", 0.6, 3)),
  (("saturation", 0.4, 1), ("rotate", 0.6, 8)),
  (("solarize", 0.8, 3), ("equalize", 0.4, 7)),
  (("solarize", 0.4, 2), ("solarize", 0.6, 2)),
  (("saturation", 0.2, 0), ("equalize", 0.8, 8)),
  (("equalize", 0.4, 8), ("solarize_add", 0.8, 3)),
  (("shear_x", 0.2, 9), ("rotate", 0.6, 8)),
  (("saturation", 0.6, 1), ("equalize", 1.0, 2)),
  (("invert", 0.4, 9), ("rotate", 0.6, 0)),
  (("equalize", 1.0, 9), ("shear_y", 0.6, 3)),
  (("saturation", 0.4, 7), ("equalize", 0.6, 0)),
  (("posterize", 0.4, 6), ("auto_contrast", 0.4, 7)),
  (("solarize", 0.6, 8), ("saturation", 0.6, 9)),
  (("solarize", 0.2, 4), ("rotate", 0.8, 9)),
  (("rotate", 1.0, 7), ("translate_y_pixels", 0.8, 9)),
  (("shear_x", 0.0, 0), ("solarize", 0.8, 4)),
  (("shear_y", 0.8, 0), ("saturation", 0.6, 4)),
  (("saturation", 1.0, 0), ("rotate", 0.6, 2)),
  (("equalize", 0.8, 4), ("equalize", 0.0, 8)),
  (("equalize", 1.0, 4), ("auto_contrast", 0.6, 2)),
  (("shear_y", 0.4, 7), ("solarize_add", 0.6, 7)),
  (("posterize", 0.8, 2), ("solarize", 0.6, 10)),
  (("solarize", 0.6, 8), ("equalize", 0.6, 1)),
  (("saturation", 0.8, 6), ("rotate", 0.4, 5)),
)


@dataclasses.dataclass(frozen=True)
class Searched:
  """A policy with the scales of its magnitudes.

  Attributes:
    policy: the sub-policies.
    scales: the scale of each operation.
    full: the magnitude that is strength 1.
  """

  policy: Policy
  scales: Mapping[str, magnitudes.Scale]
  full: int


_PAPER = {**magnitudes.PAPER, "invert": magnitudes.Scale()}
_V0 = {
  **magnitudes.GOOGLE,
  "translate_y_pixels": magnitudes.Scale(0, 250, mirrored=True),
}
POLICIES = {
  # Ten magnitudes, evenly spaced from one end of the range to the other.
  "imagenet": Searched(IMAGENET, scales=_PAPER, full=9),
  "cifar10": Searched(CIFAR10, scales=_PAPER, full=9),
  "svhn": Searched(SVHN, scales=_PAPER, full=9),
  "v0": Searched(V0, scales=_V0, full=10),
}


def random_autoaugment(
  policy: str = "imagenet", *, fill: arguments.Fill = 128
) -> Transform:
  """Applies one of the 25 sub-policies of a policy.

  Args:
    policy: "imagenet", "cifar10", "svhn" (the tables of the paper, with the
      magnitudes of torchvision) or "v0" (the authors' code for EfficientNet).
    fill: colour of pixels from outside of the image.
  """
  if policy not in POLICIES:
    raise ValueError(lookup.unknown("policy", str(policy), POLICIES))

  return operations.Drawn(
    lambda rng: draw_autoaugment(rng, POLICIES[policy]), fill
  )


def draw_autoaugment(
  rng: np.random.Generator, searched: Searched
) -> list[tuple[str, float]]:
  """Names and values of the operations for one image, at most 2."""
  pair = searched.policy[rng.integers(len(searched.policy))]
  drawn = []
  for name, p, magnitude in pair:
    if rng.random() < p:
      strength = magnitude / searched.full
      value = magnitudes.draw_value(rng, searched.scales[name], strength)
      drawn.append((name, value))
  return drawn
