"""Images with captions in one file, as published by COCO, Karpathy or Flickr8k.

data.name is a file of captions, see `caption_files`, or the folder of the data
set, with one of these files in it or in its folder `annotations`,
`caption_datasets` or `*_text`:

- `captions_train2017.json`, `captions_val2017.json`: COCO's annotations. The
  split of a file is in its name.
- `dataset_coco.json`, `dataset_flickr8k.json`, `dataset_flickr30k.json`:
  Karpathy's splits, with "restval" for COCO; data.train="train+restval" joins
  it.
- `Flickr8k.token.txt`: with the lists of images beside it, which are the
  splits. Images that are in no list are not used.

Images are found by their names: in the folder of the file of captions or the
one above it, in a folder `images` of one of these, or in a folder directly
below one of the four. All images of a split are in one folder. Images have no
labels. Their field "caption" has one caption a line.
"""

import functools
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import caption_files
from jaxvision.data.sources import pairs, source, splits

# The files of one data set; a folder must have files of one pattern only.
# Hugging Face and TFDS also write files with names like dataset_info.json.
_KARPATHY = tuple(
  f"dataset_{name}.json" for name in ("coco", "flickr8k", "flickr30k")
)
_COCO = "captions_*.json"
_PATTERNS = (*_KARPATHY, _COCO, "*[!a].token.txt")
_LABELS = ("none", "classes")  # the second is the default of a config
# Not all folders: a folder of images may have thousands.
_FOLDERS = ("", "annotations/", "caption_datasets/", "*_text/")
_IMAGES = "images"
_SAMPLED = 16  # images that tell in which folder all of them are


def is_one(path: pathlib.Path) -> bool:
  """Whether a path is a file of captions or a folder with such a file."""
  if path.is_dir():
    return bool(_inside(path))
  return bool(path.suffix) and caption_files.is_named(path)


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of a data set of captions, each in a fixed, shuffled order.

  Args:
    of: reads name, the path.

  Raises:
    FileNotFoundError: the file of captions, or an image, does not exist.
    ValueError: the file is damaged; an image has no caption or an empty one;
      or two files are the same split.
  """
  if of.labels not in _LABELS:
    raise ValueError(
      f"data.labels is {of.labels!r}, and images with captions have no labels; "
      'set it to "none"'
    )
  path = pathlib.Path(of.name).expanduser()
  found: dict[str, pathlib.Path] = {}
  for file in _files(path.absolute()):
    for split in _by_split(file, _modified(file)):
      if split in found:
        raise ValueError(
          f"{found[split]} and {file} are the same split {split!r}; keep "
          "one of them, or give its path as data.name"
        )
      found[split] = file
  order = (*splits.SPLITS, *found)
  try:
    return {
      split: _split(path, split, found[split])
      for split in sorted(found, key=order.index)
    }
  except FileNotFoundError as error:
    if len(set(found.values())) < 2:
      raise
    raise FileNotFoundError(
      f"{error}. To use one file of captions without the others, give its path "
      "as data.name"
    ) from error


def _files(path: pathlib.Path) -> list[pathlib.Path]:
  if path.is_file():
    return [path]
  there = _inside(path) if path.is_dir() else []
  if not there:
    raise FileNotFoundError(
      f"no file of captions {path.absolute()}; data.name must be the path of "
      f"one, or of a folder with {', '.join(_PATTERNS)} in it or in "
      f"{', '.join(filter(None, _FOLDERS))}"
    )
  patterns = {_pattern(each) for each in there}
  if len(patterns) > 1 or (len(there) > 1 and patterns != {_COCO}):
    listed = caption_files.listed([each.name for each in there])
    raise ValueError(
      f"{path} has several files of captions: {listed}; give the path of one "
      "of them as data.name"
    )
  return there


def _inside(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    each
    for pattern in _PATTERNS
    for above in _FOLDERS
    for each in folder.glob(above + pattern)
    if each.is_file()
  )


def _pattern(path: pathlib.Path) -> str:
  return next(each for each in _PATTERNS if path.match(each))


def _modified(path: pathlib.Path) -> int:
  return path.stat().st_mtime_ns


# The splits of a run are opened one by one: read a file once for all, and look
# for its images once.
@functools.lru_cache(maxsize=2)
def _by_split(
  path: pathlib.Path, modified: int
) -> Mapping[str, Sequence[caption_files.Captioned]]:
  """The images of each split of a file; `modified` distinguishes versions."""
  del modified
  images = caption_files.read(path)
  if not all(each.file for each in images):
    raise ValueError(
      f"{files.printable(path)} has captions without names of images; expected "
      "COCO's annotations, dataset_coco.json, or Flickr8k.token.txt"
    )
  if not any(each.split for each in images):
    named = set(splits.words(path.stem).values()) - {""}
    return {named.pop() if len(named) == 1 else "train": images}
  listed: dict[str, list[caption_files.Captioned]] = {}
  for each in images:
    listed.setdefault(each.split, []).append(each)
  if others := listed.pop("", []):
    logging.getLogger(__name__).warning(
      "%d of %d images of %s are in no split, such as %s; they are not used",
      len(others),
      len(images),
      path,
      files.printable(others[0].file),
    )
  return listed


def _split(
  name: pathlib.Path, split: str, file: pathlib.Path
) -> dataset.Dataset:
  modified = _modified(file)
  images = _by_split(file, modified)[split]
  caption_files.check_captions(images, where=f"{file}, split {split!r}")
  return pairs.from_files(
    _paths(file, modified, split),
    None,
    name=str(name),
    split=split,
    label_kind="none",
    captions=[caption_files.together(each.captions) for each in images],
  )


@functools.lru_cache(maxsize=8)
def _paths(file: pathlib.Path, modified: int, split: str) -> Sequence[str]:
  """The paths of the images of a split; all are in one folder."""
  images = _by_split(file, modified)[split]
  folder = _folder(file, split, images)
  paths = [os.path.join(folder, each.file) for each in images]
  absent = [path for path in paths if not os.path.isfile(path)]
  if absent:
    raise FileNotFoundError(
      f"{len(absent):,} of {len(images):,} images with captions in {file}, "
      f"split {split!r}, do not exist: {caption_files.listed(absent)}; add "
      "them, or remove their captions"
    )
  return paths


def _folder(
  file: pathlib.Path, split: str, images: Sequence[caption_files.Captioned]
) -> pathlib.Path:
  """The folder that has most of a few images.

  A folder with the name of the split precedes others if it has one of them:
  the images of several splits may have the same names.
  """
  last, count = len(images) - 1, min(len(images), _SAMPLED)
  few = [images[i].file for i in np.linspace(0, last, count).astype(int)]

  def fits(folder: pathlib.Path) -> tuple[bool, bool, int]:
    there = sum((folder / each).is_file() for each in few)
    return there > 0, splits.of_folder(folder.name) == split, there

  folders = list(dict.fromkeys(_folders(file)))
  best = max(folders, key=fits)
  if not fits(best)[0]:
    raise FileNotFoundError(
      f"no image {files.printable(few[0])}, the first of {len(images):,} with "
      f"captions in {file}, split {split!r}; looked in "
      f"{caption_files.listed(folders)}"
    )
  return best


def _folders(file: pathlib.Path) -> Iterator[pathlib.Path]:
  """The folders that may have the images of a file of captions."""
  above = file.absolute().parent
  outer = (above, above.parent)
  for folder in (*outer, *(each / _IMAGES for each in outer)):
    if not folder.is_dir():
      continue
    yield folder
    with os.scandir(folder) as entries:
      below = [
        pathlib.Path(each.path)
        for each in entries
        if image_files.is_directory(each)
        and not image_files.is_hidden(each.name)
      ]
    yield from sorted(below)
