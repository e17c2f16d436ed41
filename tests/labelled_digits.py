"""The digits of scikit-learn with labels that are sets or numbers."""

import pathlib
from typing import Any

import cv2
import numpy as np
from sklearn import datasets

from jaxvision import training

# Properties of a digit: even, prime, above 4, with a closed loop.
PROPERTIES = {
  "even": (0, 2, 4, 6, 8),
  "prime": (2, 3, 5, 7),
  "above 4": (5, 6, 7, 8, 9),
  "loop": (0, 6, 8, 9),
}
NUMBERS = ("angle", "ink")
_RECIPE = """
from jaxvision.configs import default


def get_config():
  config = default.get_config()
  config.model.name = "mlp"
  config.model.options = {"hidden": (128,)}
  config.data.kind = "npz"
  config.data.channels = 1
  config.data.placement = "device"
  config.optimizer.name = "adam"
  config.optimizer.learning_rate = 0.01
  config.train.batch_size = 256
  config.train.steps_per_dispatch = 2
  config.train.duration = "400 steps"
  config.evaluate.every = "400 steps"
  config.checkpoint.every = "400 steps"
  return config
"""


def write_sets(path: pathlib.Path) -> pathlib.Path:
  images, digits = _load()
  labels = [np.isin(digits, members) for members in PROPERTIES.values()]
  return _write(path, images, np.stack(labels, 1), tuple(PROPERTIES))


def write_numbers(path: pathlib.Path) -> pathlib.Path:
  """Writes digits rotated by up to 45 degrees; labels are angle and ink."""
  images, _ = _load()
  angles = np.random.default_rng(0).uniform(-1, 1, len(images))
  pairs = zip(images, angles, strict=True)
  turned = np.stack([_turned(*pair) for pair in pairs])
  ink = turned.mean((1, 2)) / 100
  return _write(path, turned, np.stack([angles, ink], 1), NUMBERS)


def train(
  data: pathlib.Path, workdir: pathlib.Path, **overrides: Any
) -> dict[str, Any]:
  """Trains on a file from above; `a__b` overrides "a.b"."""
  recipe = workdir.parent / "recipe.py"
  recipe.write_text(_RECIPE)
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  return training.train(
    str(recipe), workdir=workdir, overrides={"data.name": str(data), **dotted}
  )


def _load() -> tuple[np.ndarray, np.ndarray]:
  digits = datasets.load_digits()
  return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target


def _turned(image: np.ndarray, angle: float) -> np.ndarray:
  large = cv2.resize(image, (16, 16), interpolation=cv2.INTER_LINEAR)
  matrix = cv2.getRotationMatrix2D((7.5, 7.5), 45 * angle, 1.0)
  return cv2.warpAffine(large, matrix, (16, 16))


def _write(path, images, labels, names) -> pathlib.Path:
  arrays = {"class_names": names}
  parts = {"train": slice(1200), "validation": slice(1200, 1500)}
  parts["test"] = slice(1500, None)
  for split, rows in parts.items():
    arrays[f"{split}_images"] = images[rows]
    arrays[f"{split}_labels"] = labels[rows]
  np.savez(path, **arrays)
  return path
