"""Digits for pre-training, and others for the transfer; functions of data.

MNIST at 14x14 pixels, the means of 2x2 pixels. The digits 0 to 4 are for
pre-training: each quarter turn of a digit is a class, 20 in all. The digits 5
to 9 are for the transfer.
"""

import numpy as np
import small_mnist

OLD, NEW = range(5), range(5, 10)
_TRAINING, _TESTS, _HELD = 60_000, 10_000, 2000
Arrays = tuple[np.ndarray, np.ndarray]


def old(name: str) -> dict[str, Arrays]:
  """Returns turned digits of the classes 0 to 4.

  Args:
    name: number of digits for training, each in four turns: "250".
  """
  images, labels = _digits("train", _TRAINING, OLD)
  count = int(name)
  return {
    "train": _turned(images[:count], labels[:count]),
    "validation": _turned(*_digits("test", _TESTS, OLD)),
  }


def new(name: str) -> dict[str, Arrays]:
  """Returns digits of the classes 5 to 9, as the labels 0 to 4.

  Each five digits of the training split are of the five classes, so
  "train[:50]" has ten of each.

  Args:
    name: the seed of the order: "3".
  """
  images, labels = _digits("train", _TRAINING, NEW)
  order = np.random.default_rng(int(name)).permutation(len(labels))
  own = [order[labels[order] == label] for label in range(len(NEW))]
  rows = np.stack([each[: min(map(len, own))] for each in own], 1).ravel()
  held, rest = rows[-_HELD:], rows[:-_HELD]
  return {
    "train": (images[rest], labels[rest]),
    "validation": (images[held], labels[held]),
    "test": _digits("test", _TESTS, NEW),
  }


def _digits(split: str, count: int, classes: range) -> Arrays:
  images, labels = small_mnist.digits(split, count)
  rows = np.isin(labels, classes)
  return small_mnist.halve(images[rows]), labels[rows] - classes.start


def _turned(images: np.ndarray, labels: np.ndarray) -> Arrays:
  turned = [np.rot90(images, turn, axes=(1, 2)) for turn in range(4)]
  return (
    np.concatenate(turned),
    np.concatenate([labels + len(OLD) * turn for turn in range(4)]),
  )
