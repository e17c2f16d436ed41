"""A folder of images without labels, in any folders below it.

If all folders in PATH have names of splits and no image is beside them, they
are the splits. Otherwise all images are the split "train", which can be sliced.
Masks and captions of images are fields, see `image_fields`.
"""

import os
import pathlib

from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.sources import image_fields, pairs, source, splits


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of a folder, each in a fixed, shuffled order.

  Args:
    of: reads name, the path.

  Raises:
    FileNotFoundError: the folder does not exist, or a split has no image.
    ValueError: two folders are the same split.
  """
  path = pathlib.Path(of.name).expanduser()
  if not path.is_dir():
    raise FileNotFoundError(
      f"no directory {path.absolute()}; data.name must be the path of a folder "
      "of images"
    )
  return {
    split: pairs.from_files(
      _images(folder),
      None,
      name=str(path),
      split=split,
      label_kind="none",
      tables=(folder, path),
    )
    for split, folder in _folders(path).items()
  }


def _folders(path: pathlib.Path) -> dict[str, pathlib.Path]:
  """{split: its folder}."""
  there = [
    each for each in path.iterdir() if not image_files.is_hidden(each.name)
  ]
  below = sorted(each for each in there if each.is_dir())
  called = [splits.of_folder(each.name) for each in below]
  beside = any(each.suffix.lower() in image_files.EXTENSIONS for each in there)
  if beside or not all(called) or not below:
    return {"train": path}
  if len(set(called)) < len(called):
    raise ValueError(
      f"{path} has two folders of one split among "
      f"{', '.join(each.name for each in below)}; keep at most train, val and "
      "test"
    )
  order = splits.SPLITS
  pairs_of = zip(called, below, strict=True)
  return dict(sorted(pairs_of, key=lambda each: order.index(each[0])))


def _images(folder: pathlib.Path) -> list[str]:
  """The images below a folder, without masks, sorted."""
  found = [os.fsencode(each) for each in image_files.list_images([folder])]
  return [os.fsdecode(path) for path in image_fields.without_masks(found)]
