"""Time of each host transform on an image of 224x224, compared with Pillow.

  python experiments/benchmarks/augmentation.py
  python experiments/benchmarks/augmentation.py --only random_randaugment

The script measures the processor time of one thread on photo-like pixels. Other
load affects it less than the wall time. The jaxvision transform and Pillow's
run one after the other in rounds. The table shows medians of the rounds and of
their ratios. Pillow's side also begins and ends with an array, as in a pipeline
of arrays. It draws no random numbers. It is left out if Pillow has no such
operation.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from jaxvision import data

_SECONDS = 0.02  # seconds of one side in one round


def _affine(*matrix: float) -> Callable[[Image.Image], Image.Image]:
  how = Image.Transform.AFFINE
  return lambda image: image.transform(image.size, how, matrix)


def _jittered(image: Image.Image) -> Image.Image:
  for kind in ("Brightness", "Contrast", "Color"):
    image = getattr(ImageEnhance, kind)(image).enhance(1.2)
  return image


def _hue(image: Image.Image) -> Image.Image:
  hue, *rest = image.convert("HSV").split()
  turned = hue.point(lambda value: (value + 25) % 256)
  return Image.merge("HSV", (turned, *rest)).convert("RGB")


def _enhanced(kind: str) -> Callable[[Image.Image], Image.Image]:
  return lambda image: getattr(ImageEnhance, kind)(image).enhance(1.4)


CALLS: dict[str, Callable[[Image.Image], Image.Image] | None] = {
  "auto_contrast": ImageOps.autocontrast,
  "brightness(1.4)": _enhanced("Brightness"),
  "contrast(1.4)": _enhanced("Contrast"),
  "equalize": ImageOps.equalize,
  "gaussian_blur(2)": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
  "grayscale": lambda image: image.convert("L").convert("RGB"),
  "hue(0.1)": _hue,
  "invert": ImageOps.invert,
  "pad(4, mode='zero')": lambda image: ImageOps.expand(image, 4),
  "posterize(4)": lambda image: ImageOps.posterize(image, 4),
  "rotate(17)": lambda image: image.rotate(17),
  "rotate(17, method='bilinear')": lambda image: image.rotate(
    17, Image.Resampling.BILINEAR
  ),
  "saturation(1.4)": _enhanced("Color"),
  "sharpness(1.4)": _enhanced("Sharpness"),
  "shear(x=0.2)": _affine(1, 0.2, 0, 0, 1, 0),
  "solarize(128)": ImageOps.solarize,
  "translate(x=0.1)": _affine(1, 0, -22, 0, 1, 0),
  "random_flip(p=1)": ImageOps.mirror,
  "random_crop(224, padding=4)": None,
  "random_cutout(112)": None,
  "random_gaussian_noise(0.1)": None,
  "random_lighting": None,
  "random_salt_and_pepper(0.05)": None,
  "random_color_jitter(brightness=0.4, contrast=0.4, saturation=0.4)": (
    _jittered
  ),
  "random_3augment": None,
  "random_autoaugment('imagenet')": None,
  "random_randaugment(2, magnitude=9)": None,
  "random_randaugment(2, magnitude=15, version='google')": None,
  "random_randaugment(2, magnitude=9, version='timm')": None,
  "random_trivialaugment": None,
}


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--only", default="", help="part of the names to measure")
  parser.add_argument("--rounds", type=int, default=15)
  options = parser.parse_args()
  cv2.setNumThreads(1)
  image = photo()
  print("| transform | ms | Pillow, ms | Pillow / ours |\n|---|---:|---:|---:|")
  for call, pillow in CALLS.items():
    if options.only in call:
      print(f"| `{call}` | {_measured(call, pillow, image, options.rounds)} |")


def photo() -> np.ndarray:
  """Returns (224, 224, 3) uint8: smooth areas, edges and a little noise."""
  rng = np.random.default_rng(0)
  coarse = rng.integers(0, 256, (7, 7, 3), np.uint8)
  image = cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC)
  image[60:160, 90:] = image[60:160, 90:] // 2
  return (image // 2 + 40 + rng.integers(0, 12, image.shape)).astype(np.uint8)


def _measured(
  call: str,
  pillow: Callable[[Image.Image], Image.Image] | None,
  image: np.ndarray,
  rounds: int,
) -> str:
  transform, rng = data.make_host_transform((call,)), np.random.default_rng(0)
  sides = [lambda: transform(rng, image)]
  if pillow:
    sides.append(lambda: np.asarray(pillow(Image.fromarray(image))))
  numbers = [max(1, round(_SECONDS / _seconds(side, 3))) for side in sides]
  # The time of random transforms varies: a round must include many calls.
  if transform.random:
    numbers[0] = max(numbers[0], 200)
  times = [
    [_seconds(side, n) for side, n in zip(sides, numbers, strict=True)]
    for _ in range(rounds)
  ]
  medians = [1e3 * statistics.median(column) for column in np.transpose(times)]
  if not pillow:
    return f"{medians[0]:.3f} | - | -"
  ratio = statistics.median(theirs / ours for ours, theirs in times)
  return f"{medians[0]:.3f} | {medians[1]:.3f} | {ratio:.1f}"


def _seconds(function: Callable[[], object], number: int) -> float:
  """Returns the processor seconds of a call, as the mean of `number`."""
  start = time.thread_time()
  for _ in range(number):
    function()
  return (time.thread_time() - start) / number


if __name__ == "__main__":
  main()
