"""Arrays in an .npz file.

The arrays are either `images` and `labels`, which form the split "train", or
`train_images`, `train_labels`, `validation_images` and so on, for any names of
splits. `image` and `label` are also accepted. Images are (n, h, w, c) or
(n, h, w), integers in 0..255. Labels are (n,) integers from 0, or text. The
optional array `class_names` has the names of the classes; without it the names
are the numbers or the texts of the labels. Sets of classes are (n, k) of 0 and
1, numbers are (n,) or (n, t). With data.labels="none" there need be no labels.
Fields are `segmentation_masks` (n, h, w) uint8 and `captions` (n,) text, also
with the name of a split. A text may have several captions, one a line.
"""

import functools
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.formats import npz
from jaxvision.data.sources import labels, pairs, source

_KEY = re.compile(
  r"(?:(?P<split>.+)_)?(?P<what>image|label|segmentation_mask|caption)s?"
)


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of an .npz file, each in a fixed, stratified order.

  Args:
    of: reads name, the path; and num_classes, if the file has no class_names.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: the file does not have the arrays above, or a label is outside
      the classes.
  """
  path = pathlib.Path(of.name).expanduser()
  if not path.is_file():
    raise FileNotFoundError(
      f"no file {path.absolute()}; data.name must be the path of an .npz file "
      "with the arrays images and labels"
    )
  arrays = _read_file(path, path.stat().st_mtime_ns)
  where = os.fspath(path)
  splits = _splits(arrays, path, labelled=of.labels != "none")
  found = {split: each.get("label") for split, each in splits.items()}
  if of.labels == "classes":
    found = labels.unify(found, where=where)
  named = arrays.get("class_names")
  class_names = (
    pairs.name_classes(
      found,
      label_kind=of.labels,
      num_classes=of.num_classes,
      locate=lambda split, row: f"{where}, split {split!r}, example {row}",
    )
    if named is None
    else labels.names_of(named, where=where)
  )
  return {
    split: pairs.from_arrays(
      each["image"],
      found[split],
      class_names=class_names,
      name=where,
      split=split,
      label_kind=of.labels,
      masks=each.get("segmentation_mask"),
      captions=each.get("caption"),
    )
    for split, each in splits.items()
  }


# The splits of a run are opened one by one: read the file once for all.
@functools.lru_cache(maxsize=1)
def _read_file(path: pathlib.Path, modified: int) -> Mapping[str, np.ndarray]:
  del modified  # only distinguishes versions of a file
  return npz.read(
    path,
    remedy="write it with numpy.savez(path, images=..., labels=...)",
  )


def _splits(
  arrays: Mapping[str, np.ndarray], path: pathlib.Path, *, labelled: bool
) -> dict[str, dict[str, np.ndarray]]:
  """{split: {"image": images, "label": labels, ...}}."""
  found: dict[str, dict[str, np.ndarray]] = {}
  for key, array in arrays.items():
    match = _KEY.fullmatch(key)
    if match:
      pair = found.setdefault(match["split"] or "train", {})
      if match["what"] in pair:
        raise ValueError(
          f"{path}: {key!r} is not the only array of {match['what']}s of the "
          f"split {match['split'] or 'train'!r}; keep one of them"
        )
      pair[match["what"]] = array
    elif key != "class_names":
      raise ValueError(
        f"{path} has an array {key!r}; expected images, labels, "
        "segmentation_masks, captions, all also as SPLIT_images and so on, or "
        "class_names"
      )
  for split, pair in found.items():
    for what in ("image", "label")[: 1 + labelled]:
      if what not in pair:
        raise ValueError(f"{path}: split {split!r} has no array of {what}s")
  if len({split.lower() for split in found}) < len(found):
    raise ValueError(
      f"{path} has the splits {', '.join(found)}, some of which differ only in "
      "capitals; give them different names"
    )
  if not found:
    raise ValueError(f"{path} has no images; expected arrays images, labels")
  return found
