"""RandAugment, TrivialAugment and 3-Augment: random draws of operations."""

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
  """A version of RandAugment.

  Attributes:
    scales: the scale of each operation.
    largest: maximum magnitude.
    p: probability that a drawn operation is applied.
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
  """Applies `n` operations, drawn for each image (Cubuk et al. 2020).

  Args:
    n: number of operations, applied one after another; repeats are possible.
    magnitude: strength of all operations; 10 is the end of their ranges.
      torchvision counts to 30 instead: its 9 is 3 here.
    version: "paper": the 14 operations of the paper, stronger with the
      magnitude, as in torchvision. "google": the 16 operations of the authors'
      code, used for training ViT and Mixer; up to magnitude 30. "timm": the 15
      operations of its "rand-m9-mstd0.5-inc1", each applied with probability
      0.5, at magnitudes with a standard deviation of 0.5.
    fill: colour of pixels from outside of the image; timm uses the mean of the
      data.
  """
  if version not in VERSIONS:
    raise ValueError(lookup.unknown("version", str(version), VERSIONS))
  largest = VERSIONS[version].largest
  if magnitude > largest:
    raise ValueError(
      f"magnitude is {magnitude}; for {version!r} it must be at most {largest}"
    )

  return operations.Drawn(
    lambda rng: draw_randaugment(rng, VERSIONS[version], n, magnitude), fill
  )


def draw_randaugment(
  rng: np.random.Generator, version: Version, n: int, magnitude: float
) -> list[tuple[str, float]]:
  """Names and values of the operations for one image, at most `n`."""
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
  """Applies one operation of any strength (Mueller and Hutter 2021).

  The ranges are those of the wide form.

  Args:
    fill: colour of pixels from outside of the image.
  """
  return operations.Drawn(lambda rng: [draw_trivialaugment(rng)], fill)


def draw_trivialaugment(rng: np.random.Generator) -> tuple[str, float]:
  """Name and value of the operation for one image."""
  name = list(magnitudes.WIDE)[rng.integers(len(magnitudes.WIDE))]
  strength = rng.integers(_STRENGTHS) / (_STRENGTHS - 1)
  scale = magnitudes.WIDE[name]
  return name, magnitudes.draw_value(rng, scale, strength)


def random_3augment(*, color_jitter: ranges.Probability = 0.3) -> Transform:
  """Applies greyscale, solarize or blur, then color jitter (DeiT III).

  One of the three is drawn with equal probability; the sigma of the blur is in
  [0.1, 2]. Then brightness, contrast and saturation change (Touvron et al.
  2022, section 3.1).

  Args:
    color_jitter: maximum difference of the factors from 1.
  """
  choices = (color.grayscale(), tone.solarize(), blur.random_gaussian_blur())
  jittered = jitter.random_color_jitter(
    brightness=color_jitter, contrast=color_jitter, saturation=color_jitter
  )

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return jittered(rng, choices[rng.integers(3)](rng, image))

  return transform
