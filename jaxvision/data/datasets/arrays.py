"""Arrays in an .npz file.

Either `images` and `labels`, which are one split called "train" to be sliced,
or `train_images`, `train_labels`, `validation_images` and so on for any names
of splits. `image` and `label` are understood too. Images are (n, h, w, c) or
(n, h, w), integers in 0..255; labels (n,) integers from 0. `class_names` is an
optional array of text; without it classes are called by their number.
"""

import functools
import os
import pathlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset, splits

_KEY = re.compile(r"(?:(?P<split>.+)_)?(?P<what>image|label)s?")


def load(data_config: Any) -> dict[str, dataset.Dataset]:
  """The splits of an .npz file, each in a fixed, stratified order.

  Args:
    data_config: reads name, the path, and num_classes, which counts only if
      the file has no class_names.

  Raises:
    FileNotFoundError: no such file.
    ValueError: not an .npz of the arrays above, or a label outside the classes.
  """
  path = pathlib.Path(data_config.name).expanduser()
  if not path.is_file():
    raise FileNotFoundError(
      f"no file {path.absolute()}; data.name must be the path of an .npz file "
      "with the arrays images and labels"
    )
  arrays = _read_file(path, path.stat().st_mtime_ns)
  pairs = _pairs(arrays, path)
  names = _class_names(arrays, pairs, data_config.num_classes)
  return {
    split: _split(path, split, images, labels, names)
    for split, (images, labels) in pairs.items()
  }


# The splits of a run are opened one by one: read the file once for all.
@functools.lru_cache(maxsize=1)
def _read_file(path: pathlib.Path, modified: int) -> Mapping[str, np.ndarray]:
  del modified  # only distinguishes versions of a file
  try:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
      return {key: file[key] for key in file.files}
  # An .npy file is no context: TypeError. An empty one: EOFError.
  except (
    ValueError,
    TypeError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
  ) as error:
    raise ValueError(
      f"{path} is not an .npz file of plain arrays: {error}; write it with "
      "numpy.savez(path, images=..., labels=...)"
    ) from error


def _pairs(
  arrays: Mapping[str, np.ndarray], path: pathlib.Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """{split: (images, labels)}, checked."""
  found: dict[str, dict[str, np.ndarray]] = {}
  for key, array in arrays.items():
    match = _KEY.fullmatch(key)
    if match:
      found.setdefault(match["split"] or "train", {})[match["what"]] = array
    elif key != "class_names":
      raise ValueError(
        f"{path} has an array {key!r}; expected images, labels, "
        "SPLIT_images, SPLIT_labels or class_names"
      )
  for split, pair in found.items():
    for what in ("image", "label"):
      if what not in pair:
        raise ValueError(f"{path}: split {split!r} has no array of {what}s")
  if not found:
    raise ValueError(f"{path} has no images; expected arrays images, labels")
  return {
    split: _checked(pair["image"], pair["label"], f"{path}, split {split!r}")
    for split, pair in found.items()
  }


def _checked(
  images: np.ndarray, labels: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
  """Images as (n, h, w, c) uint8 and labels as (n,) int64."""
  if images.ndim not in (3, 4):
    raise ValueError(
      f"{where}: images have the shape {images.shape}; expected (n, h, w, c) "
      "or (n, h, w)"
    )
  if not np.issubdtype(images.dtype, np.integer):
    raise ValueError(
      f"{where}: images are {images.dtype}; expected integers in 0..255, as "
      "from (images * 255).round().astype(numpy.uint8)"
    )
  if images.size and not 0 <= images.min() <= images.max() <= 255:
    raise ValueError(
      f"{where}: pixels lie in {images.min()}..{images.max()}; expected 0..255"
    )
  integers = np.issubdtype(labels.dtype, np.integer)
  if not integers or labels.shape != images.shape[:1]:
    raise ValueError(
      f"{where}: labels are {labels.dtype} of the shape {labels.shape}; "
      f"expected integers of the shape {images.shape[:1]}, one per image"
    )
  images = images if images.ndim == 4 else images[..., None]
  return images.astype(np.uint8, copy=False), labels.astype(np.int64)


def _class_names(
  arrays: Mapping[str, np.ndarray],
  pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
  num_classes: int,
) -> tuple[str, ...]:
  """Names from the file, or numbers; every label must be among them."""
  largest = max(labels.max(initial=-1) for _, labels in pairs.values())
  names = arrays.get("class_names", range(num_classes or largest + 1))
  names = tuple(str(name) for name in names)
  for split, (_, labels) in pairs.items():
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if wrong.size:
      raise ValueError(
        f"label {labels[wrong[0]]} of example {wrong[0]} in split {split!r} is "
        f"outside the {len(names)} classes 0..{len(names) - 1} "
        f"({wrong.size} such labels); correct labels, class_names or "
        "data.num_classes"
      )
  return names


def _split(
  path: pathlib.Path,
  split: str,
  images: np.ndarray,
  labels: np.ndarray,
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  order = splits.stratified_order(labels)

  def read(indices: Sequence[int]) -> list[dataset.Example]:
    rows = order[np.asarray(indices, np.int64)]
    return list(zip(images[rows], labels[rows].tolist(), strict=True))

  return dataset.Dataset(
    name=os.fspath(path),
    split=split,
    class_names=class_names,
    num_examples=len(labels),
    ids=lambda indices: [f"{split}/{order[index]}" for index in indices],
    labels=lambda: labels[order],
    read=read,
  )
