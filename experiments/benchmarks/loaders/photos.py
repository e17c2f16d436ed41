"""Photo-like JPEG files: parts of two photographs with camera noise.

The photographs come with scikit-learn. Noise in the luma makes the files as
large as real files at quality 90. With standard deviation 6 they have about 75
kB at 500x375 pixels (ImageNet: 110 kB on average). With standard deviation 4
they have about 380 kB at 1500x1000, two bits a pixel.
"""

import pathlib

import cv2
import numpy as np
from sklearn import datasets

_QUALITY = 90


def write(
  folder: pathlib.Path, *, number: int, width: int, height: int, noise: float
) -> list[int]:
  """Writes FOLDER/{0,1}/*.jpg; a quarter of the files are upright.

  Args:
    folder: a new folder.
    number: of files.
    width, height: of landscape images.
    noise: standard deviation in grey levels. The value of a file differs by up
      to half of it.

  Returns:
    The bytes of each file.
  """
  rng = np.random.default_rng(0)
  photographs = datasets.load_sample_images().images
  sizes = []
  for index in range(number):
    shape = (width, height) if index % 4 == 3 else (height, width)
    image = _part(photographs[index % 2], shape, rng)
    deviation = noise * rng.uniform(0.5, 1.5)
    image = image + rng.normal(0, deviation, (*shape, 1))
    image = np.clip(image, 0, 255).astype(np.uint8)
    _, encoded = cv2.imencode(
      ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    file = folder / str(index % 2) / f"{index}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded.tobytes())
    sizes.append(encoded.size)
  return sizes


def _part(
  photograph: np.ndarray, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
  """Returns (height, width, 3) uint8: a resized part of a photograph."""
  whole = np.asarray(photograph.shape[:2])
  largest = (whole / shape).min()
  height, width = (np.asarray(shape) * largest * rng.uniform(0.6, 1)).astype(
    int
  )
  top, left = rng.integers(whole - (height, width) + 1)
  return cv2.resize(
    photograph[top : top + height, left : left + width],
    shape[::-1],
    interpolation=cv2.INTER_CUBIC,
  )
