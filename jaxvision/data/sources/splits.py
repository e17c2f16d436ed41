"""Split expressions and the order of examples that makes them stratified.

Expressions have the slicing syntax of tensorflow-datasets for every kind of
data: "train", "train[:80%]", "train[80%:]", "train[100:200]+test", "all".
"""

import re
import types
from collections.abc import Mapping

import numpy as np

from jaxvision import lookup

# In the order in which they are listed.
SPLITS = ("train", "validation", "test")
_CALLED = {
  "train": ("train", "training", "trn"),
  "validation": (
    "val",
    "valid",
    "validation",
    "vld",
    "dev",
    "devel",
    "development",
    "eval",
    "evaluation",
  ),
  "test": ("test", "testing", "tst"),
}
# What folders and files of splits are called -> the split.
NAMES = {name: split for split, names in _CALLED.items() for name in names}
# "trainset", "testdata".
_ENDINGS = ("set", "data", "split", "images", "imgs", "")
# Words that go with a split in the name of its folder: "test_images".
_PLAIN = frozenset((*_ENDINGS, "the", "sets", "image", "samples", "examples"))
# Parts of data sets that are none of the three, or nobody knows which.
_DOUBTFUL = frozenset(
  (
    "extra",
    "heldout",
    "holdout",
    "minival",
    "trainval",
    "traintest",
    "unlabeled",
    "unlabelled",
    "unseen",
  )
)
_WORD = re.compile("[a-z]+")
_HUMP = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_NAME = re.compile(r"(?:^|\+)\s*([^\[\]+\s]+)")


def resolve(
  expression: str, *, sizes: Mapping[str, int]
) -> list[tuple[str, int, int]]:
  """The ranges of examples that an expression selects.

  Args:
    expression: such as "train[:80%]+test".
    sizes: examples in each split that exists.

  Returns:
    (split, first example, one past the last example), in the order written.

  Raises:
    ValueError: no such split, not an expression, or nothing is selected.
  """
  import tensorflow_datasets as tfds

  for name in named(expression):
    if name not in sizes:
      message = lookup.unknown("split", name, list(sizes))
      raise ValueError(f"{message}; name one of them, by --split or the config")
  infos = {
    name: types.SimpleNamespace(num_examples=size)
    for name, size in sizes.items()
  }
  try:
    instruction = tfds.core.ReadInstruction.from_spec(expression)
    absolute = instruction.to_absolute(infos)
  except (ValueError, AssertionError) as error:
    reason = str(error).split("\n")[0]
    raise ValueError(
      f"split {expression!r} cannot be read: {reason}; write it like "
      f"'train[:80%]', with a split among {_written(sizes)}"
    ) from error
  ranges = [
    (each.splitname, each.from_ or 0, _stop(each.to, sizes[each.splitname]))
    for each in absolute
  ]
  if sum(max(0, stop - start) for _, start, stop in ranges) == 0:
    raise ValueError(
      f"split {expression!r} selects no example of {_written(sizes)}; "
      "choose a larger slice"
    )
  return [each for each in ranges if each[2] > each[1]]


def words(name: str) -> dict[str, str]:
  """The words in the name of a file or folder that name splits.

  Args:
    name: such as "imagenet-train-0001" or "zooVal3".

  Returns:
    {word: its split}; "" stands for a part that is none of the three.
  """
  found = _WORD.findall(_HUMP.sub(" ", name).lower())
  known = {word: split for word in found if (split := _split(word))}
  return known | {word: "" for word in found if word in _DOUBTFUL}


def of_folder(name: str) -> str:
  """The split that a folder of classes is, by its name; empty if none.

  "val2017" and "Test images" are, "crash test dummy" is not.
  """
  known = words(name)
  every = set(_WORD.findall(_HUMP.sub(" ", name).lower()))
  if len(known) != 1 or every - set(known) - _PLAIN:
    return ""
  return next(iter(known.values()))


def _split(word: str) -> str:
  """The split that a word names; empty if it names none."""
  for ending in _ENDINGS:
    if word.endswith(ending) and word.removesuffix(ending) in NAMES:
      return NAMES[word.removesuffix(ending)]
  return ""


def named(expression: str) -> set[str]:
  """The splits that an expression names; "all" names none."""
  return set(_NAME.findall(expression)) - {"all"}


def stratified_order(labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
  """An order in which every prefix has the classes in their proportions.

  Example j of the n_c of a class, shuffled, is put at (j + 1/2) / n_c. A prefix
  of a share p therefore has round(p n_c) of each class, give or take one, so
  that the slices [:80%] and [80%:] are disjoint and both stratified.

  Args:
    labels: (n,) int, the class of each example.
    seed: of the shuffle.

  Returns:
    (n,) int64, a permutation of the examples.
  """
  rng = np.random.Generator(np.random.Philox(seed))
  shuffled = rng.permutation(len(labels))
  _, classes, counts = np.unique(
    labels[shuffled], return_inverse=True, return_counts=True
  )
  by_class = np.argsort(classes, kind="stable")
  first = np.repeat(np.cumsum(counts) - counts, counts)
  rank = np.empty(len(labels), np.int64)
  rank[by_class] = np.arange(len(labels)) - first
  place = (rank + 0.5) / counts[classes]
  # Classes of one size share their places; the shuffle decides between them.
  return shuffled[np.argsort(place, kind="stable")]


def _stop(stop: int | None, size: int) -> int:
  return size if stop is None else stop


def _written(sizes: Mapping[str, int]) -> str:
  return ", ".join(f"{name} ({size})" for name, size in sizes.items())
