"""Very small captioned images: squares whose place and size are the caption."""

import pathlib
from typing import Any

import numpy as np

from jaxvision import config as configs
from jaxvision import training
from jaxvision.training import setup

_PLACES = ("left", "right", "top", "bottom")
_SIZES = {"small": 3, "large": 6}
SIDE = 16
_RECIPE = """
from jaxvision.configs import default


def get_config():
  config = default.get_config()
  config.task.name = "captioning"
  config.task.options = {
    "length": 6, "depth": 1, "width": 16, "num_heads": 2, "dropout": 0.0,
    "text_bytes": 128,
  }
  config.model.name = "mlp"
  config.model.options = {"hidden": (32,), "dropout": 0.0}
  config.data.kind = "npz"
  config.data.channels = 1
  config.data.placement = "device"
  config.optimizer.name = "adam"
  config.optimizer.learning_rate = 0.01
  config.train.batch_size = 16
  config.train.duration = "4 steps"
  config.evaluate.every = "4 steps"
  config.checkpoint.every = "4 steps"
  return config
"""


def caption(place: str, size: str) -> str:
  """Two captions of an image, one per line."""
  return f"A {size} square, {place}.\n{place}: a square"


def write(path: pathlib.Path, *, train: int = 64) -> pathlib.Path:
  """Writes an npz with splits train (n), validation (21) and test (21)."""
  arrays = {"class_names": _PLACES}
  rng = np.random.default_rng(0)
  for split, count in (("train", train), ("validation", 21), ("test", 21)):
    drawn = [_draw(rng) for _ in range(count)]
    images, labels, captions = (
      np.stack(each) for each in zip(*drawn, strict=True)
    )
    arrays[f"{split}_images"] = images
    arrays[f"{split}_labels"] = labels
    arrays[f"{split}_captions"] = captions
  np.savez(path, **arrays)
  return path


def _draw(rng: np.random.Generator) -> tuple[np.ndarray, int, str]:
  label = int(rng.integers(4))
  size, side = list(_SIZES.items())[int(rng.integers(2))]
  middle, end = (SIDE - side) // 2, SIDE - side
  y, x = {0: (middle, 0), 1: (middle, end), 2: (0, middle), 3: (end, middle)}[
    label
  ]
  image = rng.integers(0, 40, (SIDE, SIDE)).astype(np.uint8)
  image[y : y + side, x : x + side] = 250
  return image, label, caption(_PLACES[label], size)


def recipe(path: pathlib.Path, **overrides: Any) -> tuple[str, dict]:
  """The recipe of a file, and its overrides; `a__b` overrides "a.b"."""
  file = path.with_name("captions.py")
  file.write_text(_RECIPE)
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  return str(file), {"data.name": str(path), **dotted}


def train(
  path: pathlib.Path, workdir: pathlib.Path, **overrides: Any
) -> dict[str, Any]:
  """Trains a captioner on a file of `write`."""
  file, dotted = recipe(path, **overrides)
  return training.train(file, workdir=workdir, overrides=dotted)


def prepare(path: pathlib.Path, **overrides: Any) -> setup.Parts:
  """The parts of a run on a file of `write`."""
  config = configs.load(*recipe(path, **overrides))
  return setup.prepare(config, setup.open_splits(config))
