"""User-defined sources: a function in the user's file or package.

data.kind is "my_data.py:load" (a path) or "package.module:load" (an importable
module). The function takes data.name, any text, and returns the splits:

  def load(name):
    return {"train": (images, labels), "validation": (images, labels)}

A split is a pair (images, labels), a triple (images, labels, class_names), or a
`jaxvision.data.Dataset`, which can read from any storage. Images are an array
(n, h, w, c), integers in 0..255, or the paths of n files. Labels are integers
from 0, or text. With data.labels="sets" they are an array (n, k) of 0 and 1, or
n lists of class names or class numbers; with "numbers" they are (n,) or (n, t)
real numbers; with "none" they are not read and may be None. A result without
the dictionary is the split "train".

Worker processes receive the result by pickling, so a `Dataset` must be
picklable. The code of the file is available in the worker processes.
"""

import functools
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import user_code
from jaxvision.data import dataset
from jaxvision.data.sources import labels, pairs, source

_EXPECTED = (
  "expected {split: Dataset}, or {split: (images or paths, labels)}, or "
  "{split: (images or paths, labels, class_names)}"
)


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits that a user-defined function returns.

  Args:
    of: reads kind, "FILE.py:FUNCTION" or "MODULE:FUNCTION"; name; and
      num_classes, if labels are class numbers without names.

  Raises:
    FileNotFoundError: the file or module does not exist.
    ValueError: the function does not exist, or its result has a wrong form.
  """
  kind = user_code.as_written(of.kind)
  function = user_code.function(of.kind, kind="data.kind")
  try:
    inspect.signature(function).bind(of.name)
  except TypeError as error:
    raise ValueError(
      f"data.kind {kind!r} cannot be called with data.name alone: {error}; "
      "write a function of one argument"
    ) from error
  returned = function(of.name)
  splits = returned if isinstance(returned, Mapping) else {"train": returned}
  if not splits or not all(isinstance(split, str) for split in splits):
    raise _wrong(kind, f"the keys {list(splits)}")
  named = _named(kind, splits, of)
  return {
    split: _dataset(kind, split, each, named, of.labels)
    for split, each in splits.items()
  }


def _named(
  kind: str, splits: Mapping[str, Any], of: source.Source
) -> tuple[str, ...]:
  """One list of class names for all splits that have no names."""
  tuples = {
    split: each
    for split, each in splits.items()
    if isinstance(each, tuple | list) and len(each) in (2, 3)
  }
  given = [each[2] for each in tuples.values() if len(each) == 3]
  if given:
    return tuple(given[0])
  if not tuples:
    return ()
  try:
    given = {split: each[1] for split, each in tuples.items()}
    if of.labels == "classes":
      arrays = {split: np.asarray(each) for split, each in given.items()}
      given = labels.unify(arrays, where=kind)
    return pairs.name_classes(
      given,
      label_kind=of.labels,
      num_classes=of.num_classes,
      locate=functools.partial(_locate, kind, tuples),
    )
  except (TypeError, ValueError) as error:
    raise _wrong(kind, f"labels that cannot be read: {error}") from error


def _locate(
  kind: str, returned: Mapping[str, Any], split: str, row: int
) -> str:
  images = returned[split][0]
  what = os.fspath(images[row]) if _are_paths(images) else f"example {row}"
  return f"{kind}, split {split!r}, {what}"


def _dataset(
  kind: str,
  split: str,
  returned: Any,
  class_names: tuple[str, ...],
  label_kind: str,
) -> dataset.Dataset:
  if isinstance(returned, dataset.Dataset):
    if returned.label_kind != label_kind:
      raise ValueError(
        f"data.kind {kind!r} returned a Dataset of label_kind "
        f"{returned.label_kind!r} for the split {split!r}, and data.labels is "
        f"{label_kind!r}; use the same value for both"
      )
    return returned
  if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
    raise _wrong(kind, f"{_shape(returned)} for the split {split!r}")
  images, given, *names = returned
  if _are_paths(images):
    make = pairs.from_files
  elif isinstance(images, Sequence) or hasattr(images, "__array__"):
    make = pairs.from_arrays
  else:
    raise _wrong(kind, f"{_shape(images)} as the images of the split {split!r}")
  return make(
    images,
    given,
    class_names=names[0] if names else class_names,
    name=kind,
    split=split,
    label_kind=label_kind,
  )


def _are_paths(images: Any) -> bool:
  if isinstance(images, np.ndarray):
    return images.dtype.kind in "UT"
  paths = isinstance(images, Sequence) and not isinstance(images, str | bytes)
  return paths and all(isinstance(each, str | os.PathLike) for each in images)


def _shape(value: Any) -> str:
  length = f" of {len(value)}" if isinstance(value, tuple | list) else ""
  return f"{type(value).__name__}{length}"


def _wrong(kind: str, what: str) -> ValueError:
  return ValueError(f"data.kind {kind!r} returned {what}; {_EXPECTED}")
