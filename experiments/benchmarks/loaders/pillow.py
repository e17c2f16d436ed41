"""Pillow: the functions that torchvision's transforms call for images."""

import math

import numpy as np
from PIL import Image

from loaders import AREA, RATIO, SIZE


def augmented(file: str, rng: np.random.Generator) -> Image.Image:
  """Opens, decodes, crops, resizes and flips an image."""
  with Image.open(file) as opened:
    image = opened.convert("RGB")
  top, left, height, width = _box(rng, image.height, image.width)
  image = image.crop((left, top, left + width, top + height))
  image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
  if rng.random() < 0.5:
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
  return image


def _box(
  rng: np.random.Generator, height: int, width: int
) -> tuple[int, int, int, int]:
  for _ in range(10):
    area = height * width * rng.uniform(*AREA)
    ratio = math.exp(rng.uniform(*map(math.log, RATIO)))
    rows = round(math.sqrt(area / ratio))
    columns = round(math.sqrt(area * ratio))
    if 0 < rows <= height and 0 < columns <= width:
      top = int(rng.integers(height - rows + 1))
      return top, int(rng.integers(width - columns + 1)), rows, columns
  return 0, 0, height, width
