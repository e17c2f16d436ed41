"""The data of dagan.py: classes that DAGAN sees, and new ones."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxvision import data
from jaxvision.evaluation import low_data
from jaxvision.inference import generation

SEEN, NEW = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)  # digits
TEST_IMAGES = 1000  # of the digits

Images = tuple[np.ndarray, np.ndarray]  # (n, 28, 28, 1) uint8, labels (n,)


@dataclasses.dataclass(frozen=True)
class DataSet:
  """The classes of DAGAN, and new ones for the classifiers.

  Attributes:
    classes: number of classes of a classifier.
    steps: of its training.
    write: (a folder) -> what DAGAN's config has in place of the recipe's data.
    measured: (a folder) -> data on which DAGAN is measured: kind, name, split.
    read: () -> the images of new classes, whose labels are 0 to n - 1; and the
      test images, or None if they are the images that are no examples.
  """

  classes: int
  steps: int
  write: Callable[[pathlib.Path], dict[str, Any]]
  measured: Callable[[pathlib.Path], dict[str, tuple[str, str, str]]]
  read: Callable[[], tuple[Images, Images | None]]


def read_images(
  name: str, split: str, classes: Sequence[int] | None = None
) -> Images:
  """The images of some classes of a prepared data set; None: of all."""
  opened = data.open_dataset(data.Source("tfds", name), split)
  labels = opened.labels()
  kept = np.isin(labels, np.unique(labels) if classes is None else classes)
  rows = np.flatnonzero(kept)
  images = [
    data.decode(image, channels=1) if isinstance(image, bytes) else image
    for image, _ in opened.read(rows.tolist())
  ]
  return np.stack(images), labels[rows]


def write_digits(workdir: pathlib.Path) -> dict[str, Any]:
  """Writes the digits that DAGAN sees, for training and validation."""
  path = workdir / "digits_0_to_4.npz"
  if not path.exists():
    arrays = {}
    for role, split in (("train", "[:55000]"), ("validation", "[55000:]")):
      images, labels = read_images("mnist", f"train{split}", SEEN)
      arrays |= {f"{role}_images": images, f"{role}_labels": labels}
    workdir.mkdir(parents=True, exist_ok=True)
    generation.save(path, arrays)
  return {"data.name": str(path)}


def write_measured_digits(
  workdir: pathlib.Path,
) -> dict[str, tuple[str, str, str]]:
  """Writes the test images of seen and of new digits."""
  found = {}
  for name, digits in (("seen", SEEN), ("new", NEW)):
    path = workdir / f"test_{name}.npz"
    images, labels = read_images("mnist", "test", digits)
    arrays = {"images": images, "labels": labels - digits[0]}
    generation.save(path, arrays)
    found[name] = ("npz", str(path), "train")
  return found


def read_new_digits() -> tuple[Images, Images]:
  """Training images of the digits 5 to 9, and some test images."""
  images, labels = read_images("mnist", "train", NEW)
  test_images, test_labels = read_images("mnist", "test", NEW)
  test = test_images[:TEST_IMAGES], test_labels[:TEST_IMAGES] - NEW[0]
  return (images, labels - NEW[0]), test


def read_new_syllables() -> tuple[Images, None]:
  """All images of the syllables of the test split."""
  images, labels = read_images("hangul", "test")
  return (images, np.unique(labels, return_inverse=True)[1]), None


def draw_classes(images: Images, *, classes: int, seed: int) -> Images:
  """The images of random classes, with labels from 0; all, if so many exist."""
  chosen = np.random.default_rng(seed).choice(
    images[1].max() + 1, classes, replace=False
  )
  chosen.sort()
  rows = np.flatnonzero(np.isin(images[1], chosen))
  return images[0][rows], np.searchsorted(chosen, images[1][rows])


def others(images: Images, *, examples: int, seed: int) -> Images:
  """The images that no draw of up to this many examples has."""
  drawn = low_data.draw(images[1], examples=examples, seed=seed)
  rows = np.setdiff1d(np.arange(len(images[1])), drawn)
  if not len(rows):
    raise ValueError(
      f"{examples} examples of each class are all images; draw fewer examples, "
      "so that test images are left"
    )
  return images[0][rows], images[1][rows]


DATA = {
  "mnist": DataSet(
    classes=len(NEW),
    steps=250,
    write=write_digits,
    measured=write_measured_digits,
    read=read_new_digits,
  ),
  "hangul": DataSet(
    classes=20,
    steps=1000,
    write=lambda workdir: {},
    # About as many images that DAGAN was trained on as new ones: 7 of 28 fonts.
    measured=lambda workdir: {
      "seen": ("tfds", "hangul", "train[:25%]"),
      "new": ("tfds", "hangul", "test"),
    },
    read=read_new_syllables,
  ),
}
