"""Arrays in an .npz file.

Either `images` and `labels`, which are one split called "train" to be sliced,
or `train_images`, `train_labels`, `validation_images` and so on for any names
of splits. `image` and `label` are understood too. Images are (n, h, w, c) or
(n, h, w), integers in 0..255; labels (n,) integers from 0, or text.
`class_names` is an optional array of text; without it classes are called by
their number, or by the text.
"""

import functools
import os
import pathlib
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvision.data import dataset, pairs

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
  splits = _splits(arrays, path)
  named = arrays.get("class_names")
  names = (
    pairs.name_classes(
      [labels for _, labels in splits.values()],
      num_classes=data_config.num_classes,
    )
    if named is None
    else tuple(map(str, named))
  )
  return {
    split: pairs.from_arrays(
      images, labels, class_names=names, name=os.fspath(path), split=split
    )
    for split, (images, labels) in splits.items()
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


def _splits(
  arrays: Mapping[str, np.ndarray], path: pathlib.Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """{split: (images, labels)}."""
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
    split: (pair["image"], pair["label"]) for split, pair in found.items()
  }
