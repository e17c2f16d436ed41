"""Few digits of MNIST, where methods differ: the base of several claims.

1,000 of the training images are for training, and 2,000 others for the choice
of a learning rate. The test split has 10,000.
"""

import functools
import pathlib
from typing import Any

import numpy as np

BASE = str(pathlib.Path(__file__).parents[2] / "configs" / "mnist.py:mlp")
DATA = "MNIST, 1,000 digits for training"
HALF_DATA = "MNIST at 14 px, 1,000 digits for training"
OVERRIDES: dict[str, Any] = {
  "data.train": "train[:1000]",
  "data.validation": "train[55000:57000]",
  "data.test": "test",
  "data.num_classes": 10,
  "loss.options": {},
  "optimizer.weight_decay": 0.0,
  "ema.decay": 0.0,
  "train.batch_size": 50,
  "train.duration": "30 epochs",
  "evaluate.every": "100 percent",
  "evaluate.batch_size": 250,
  "evaluate.explain": "",
  "checkpoint.every": "100 percent",
  "checkpoint.best": "",
  "log.every": "10 percent",
  "log.tensorboard": False,
}
# Means of 2x2 pixels: a convolutional network takes a quarter of the time.
HALF_SIZE = dict.fromkeys(
  ("data.train_transforms", "data.eval_transforms"),
  ("resize(14, method='area')",),
)


@functools.cache
def digits(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns images (n, 28, 28, 1) uint8 of a split, and their labels (n,).

  The trials of a group have the same arrays: to read 60,000 images takes many
  seconds.
  """
  from jaxvision import data

  opened = data.open_dataset(data.Source("tfds", "mnist"), split)
  images = [
    data.decode(image, channels=1) if isinstance(image, bytes) else image
    for image, _ in opened.read(list(range(count)))
  ]
  found = np.stack(images), opened.labels()[:count]
  for each in found:
    each.flags.writeable = False
  return found


def halve(images: np.ndarray) -> np.ndarray:
  """Returns the means of 2x2 pixels, (n, h / 2, w / 2, c) uint8."""
  n, h, w, c = images.shape
  parts = images.reshape(n, h // 2, 2, w // 2, 2, c)
  return np.rint(parts.mean(axis=(2, 4))).astype(np.uint8)
