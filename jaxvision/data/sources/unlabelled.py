"""A folder of images without labels, in any folders below it.

If folders in PATH have names of splits, they are the splits, and all images
must be in them. Otherwise all images are the split "train", which can be
sliced. Folders without images, such as `annotations`, do not matter. Masks and
captions of images are fields, see `image_fields`.
"""

import os
import pathlib
from collections.abc import Mapping

from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import caption_files
from jaxvision.data.sources import image_fields, pairs, source, splits

_ORDER = splits.SPLITS
_BESIDE = "./"  # images in no folder


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of a folder, each in a fixed, shuffled order.

  Args:
    of: reads name, the path.

  Raises:
    FileNotFoundError: the folder does not exist, or has no image.
    ValueError: two folders are the same split, or images are outside the
      folders of the splits.
  """
  path = pathlib.Path(of.name).expanduser()
  if not path.is_dir():
    raise FileNotFoundError(
      f"no directory {path.absolute()}; data.name must be the path of a folder "
      "of images"
    )
  return {
    split: pairs.from_files(
      images,
      None,
      name=str(path),
      split=split,
      label_kind="none",
      tables=(folder, path),
    )
    for split, (folder, images) in _splits(path).items()
  }


def _splits(path: pathlib.Path) -> dict[str, tuple[pathlib.Path, list[str]]]:
  """{split: its folder, and its images}."""
  images = _images(path)
  below: dict[str, list[str]] = {}
  for image in images:
    first, *rest = pathlib.PurePath(image).parts[len(path.parts) :]
    below.setdefault(first if rest else _BESIDE, []).append(image)
  called = {name: splits.of_folder(name) for name in sorted(below)}
  if not any(called.values()):
    return {"train": (path, images)}
  _check(path, called)
  return {
    called[name]: (path / name, below[name])
    for name in sorted(below, key=lambda name: _ORDER.index(called[name]))
  }


def _check(path: pathlib.Path, called: Mapping[str, str]) -> None:
  """Checks that the folders with images are splits, and different ones."""
  named = [name for name, split in called.items() if split]
  others = [name for name, split in called.items() if not split]
  listed = caption_files.listed(named)
  if others:
    raise ValueError(
      f"{path} has images in folders of splits ({listed}) and outside them, in "
      f"{caption_files.listed(others)}; move or rename one kind, or give the "
      "path of one folder as data.name"
    )
  if len(set(called.values())) < len(called):
    raise ValueError(
      f"{path} has two folders of one split among {listed}; keep at most "
      "train, val and test"
    )


def _images(folder: pathlib.Path) -> list[str]:
  """The images below a folder, without masks, sorted."""
  found = [os.fsencode(each) for each in image_files.list_images([folder])]
  return [os.fsdecode(path) for path in image_fields.without_masks(found)]
