"""Split expressions, and the stratified order of examples.

All kinds of data use the slicing syntax of tensorflow-datasets: "train",
"train[:80%]", "train[80%:]", "train[100:200]+test", "all".
"""

import re
import types
from collections.abc import Mapping

import numpy as np

from jaxvision import lookup

# In the order of listings.
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
# Name of a folder or file -> the split.
NAMES = {name: split for split, names in _CALLED.items() for name in names}
# "trainset", "testdata".
_ENDINGS = ("set", "data", "split", "images", "imgs", "")
# Words that may accompany a split in the name of its folder: "test_images".
_PLAIN = frozenset((*_ENDINGS, "the", "sets", "image", "samples", "examples"))
# Names of other parts of data sets, or of parts whose split is unknown.
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
    sizes: number of examples of each existing split.

  Returns:
    (split, first example, one past the last example), in the order written.

  Raises:
    ValueError: the split does not exist, the text is not an expression, or
      nothing is selected.
  """
  import tensorflow_datasets as tfds

  for name in named(expression):
    if name not in sizes:
      message = lookup.unknown("split", name, list(sizes))
      raise ValueError(f"{message}; select one with --split or in the config")
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
      f"split {expression!r} is not a split expression: {reason}; write it "
      f"like 'train[:80%]', with a split among {_written(sizes)}"
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
    {word: its split}; the value "" is a part that is none of the three splits.
  """
  found = _WORD.findall(_HUMP.sub(" ", name).lower())
  known = {word: split for word in found if (split := _split(word))}
  return known | {word: "" for word in found if word in _DOUBTFUL}


def of_folder(name: str) -> str:
  """The split of a folder of classes, by the folder's name; empty if none.

  "val2017" and "Test images" name a split, "crash test dummy" does not.
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
  """An order in which every prefix has the class proportions of the data set.

  Example j of the n_c examples of a class, shuffled, has the position (j + 1/2)
  / n_c. A prefix with a fraction p of the examples therefore has round(p n_c)
  of each class, plus or minus one. So the slices [:80%] and [80%:] are disjoint
  and both stratified.

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
  # Classes of equal size have equal positions; the shuffle breaks these ties.
  return shuffled[np.argsort(place, kind="stable")]


def _stop(stop: int | None, size: int) -> int:
  return size if stop is None else stop


def _written(sizes: Mapping[str, int]) -> str:
  return ", ".join(f"{name} ({size})" for name, size in sizes.items())
