"""RandAugment, TrivialAugment and 3-Augment: they draw operations."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np

from jaxvision import lookup
from jaxvision.data.transforms.host import (
  arguments,
  blur,
  color,
  jitter,
  magnitudes,
  operations,
  tone,
)
from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

_FULL = 10  # the magnitude of strength 1, in all versions of RandAugment
_STRENGTHS = 31  # of TrivialAugment, evenly from 0 to 1


@dataclasses.dataclass(frozen=True)
class Version:
  """A way in which RandAugment is done.

  Attributes:
    scales: the operations.
    largest: magnitude that makes sense.
    p: the probability of each operation to be applied once it is drawn.
    std: of the normal noise on the magnitude.
  """

  scales: Mapping[str, magnitudes.Scale]
  largest: float = _FULL
  p: float = 1.0
  std: float = 0.0


VERSIONS = {
  "paper": Version(magnitudes.PAPER),
  "google": Version(magnitudes.GOOGLE, largest=30),
  "timm": Version(magnitudes.TIMM, p=0.5, std=0.5),
}


def random_randaugment(
  n: Annotated[int, ranges.Range(1, 20)] = 2,
  *,
  magnitude: ranges.NonNegative = 9,
  version: str = "paper",
  fill: arguments.Fill = 128,
) -> Transform:
  """`n` operations, drawn anew for each image (Cubuk et al. 2020).

  Args:
    n: how many, one after the other; the same may come twice.
    magnitude: how strong all of them are; 10 is the end of their ranges.
      torchvision counts to 30 instead: its 9 is 3 here.
    version: "paper": the 14 operations of the paper, stronger with the
      magnitude, as in torchvision. "google": the 16 of the authors' code, with
      which ViT and Mixer were trained; up to magnitude 30. "timm": the 15 of
      its "rand-m9-mstd0.5-inc1", each left out half of the time, at magnitudes
      that scatter by 0.5.
    fill: colour of what comes into view; timm has the mean of the data.
  """
  if version not in VERSIONS:
    raise ValueError(lookup.unknown("version", str(version), VERSIONS))
  largest = VERSIONS[version].largest
  if magnitude > largest:
    raise ValueError(
      f"magnitude is {magnitude}; that of {version!r} is at most {largest}"
    )

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    drawn = draw_randaugment(rng, VERSIONS[version], n, magnitude)
    return operations.apply(rng, image, drawn, fill)

  return transform


def draw_randaugment(
  rng: np.random.Generator, version: Version, n: int, magnitude: float
) -> list[tuple[str, float]]:
  """Names and values of the operations for one image, `n` or fewer."""
  drawn = []
  for name in rng.choice(list(version.scales), n).tolist():
    if version.p < 1 and rng.random() >= version.p:
      continue
    scattered = rng.normal(magnitude, version.std)
    strength = min(max(scattered, 0), version.largest) / _FULL
    scale = version.scales[name]
    drawn.append((name, magnitudes.draw_value(rng, scale, strength)))
  return drawn


def random_trivialaugment(*, fill: arguments.Fill = 0) -> Transform:
  """One operation of any strength (Mueller and Hutter 2021), the wide form.

  Args:
    fill: colour of what comes into view.
  """

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return operations.apply(rng, image, [draw_trivialaugment(rng)], fill)

  return transform


def draw_trivialaugment(rng: np.random.Generator) -> tuple[str, float]:
  """Name and value of the operation for one image."""
  name = list(magnitudes.WIDE)[rng.integers(len(magnitudes.WIDE))]
  strength = rng.integers(_STRENGTHS) / (_STRENGTHS - 1)
  scale = magnitudes.WIDE[name]
  return name, magnitudes.draw_value(rng, scale, strength)


def random_3augment(*, color_jitter: ranges.Probability = 0.3) -> Transform:
  """Grey, solarized or blurred, and jitter of colours (DeiT III).

  One of the three is drawn with equal probability, blur with a sigma in
  [0.1, 2]; then brightness, contrast and saturation change (Touvron et al.
  2022, section 3.1).

  Args:
    color_jitter: the most by which their factors differ from 1.
  """
  choices = (color.grayscale(), tone.solarize(), blur.random_gaussian_blur())
  jittered = jitter.random_color_jitter(
    brightness=color_jitter, contrast=color_jitter, saturation=color_jitter
  )

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return jittered(rng, choices[rng.integers(3)](rng, image))

  return transform
