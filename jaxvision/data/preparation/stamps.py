"""Stamps: cut-out photographs and drawings with exact masks and captions.

Debian's package tuxpaint-stamps-default (GPL-2) has pictures for children,
CATEGORY/[.../]NAME.png, whose alpha channel is the mask of the object, and
NAME.txt, whose first line is a caption in English. Four data sets are made of
them. Pictures in a folder "cartoon" are drawings. The 248 pictures in SVG are
left out: nothing here can draw them.

`stamps_captions_split` has the pictures of `stamps_captions` in three splits:
the hash of a caption decides its split, so no caption is in two of them.
Captions that differ only in capitals, spaces or punctuation are equal.

An image is stored at its size, on a white ground, centred in a square; its mask
is 0 outside of the picture.
"""

import dataclasses
import functools
import hashlib
import io
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.preparation import archives, debian, recipe

_PACKAGE = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
_SHA256 = "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"
_FOLDER = "usr/share/tuxpaint/stamps/"
_DRAWN = "cartoon"
# Class -> folder of its photographs.
_PHOTOGRAPHS = {
  "birds": "animals/birds",
  "fish": "animals/fish",
  "flowers": "plants/flowers",
  "fruit": "food/fruit",
  "insects": "animals/insects",
  "mammals": "animals/mammals",
  "vegetables": "food/vegetables",
}
# The categories of objects: without symbols, decoration of seasons, weapons and
# medicine.
_OBJECTS = (
  *("animals", "clothes", "food", "hobbies", "household", "naturalforces"),
  *("people", "plants", "space", "sports", "town", "vehicles"),
)
_CATEGORIES = (*_OBJECTS, "medical", "military", "seasonal", "symbols")

_SPLIT = "stamps_captions_split"
# Split -> where it ends in the interval [0, 1) of the hashes of captions.
_ENDS = {"train": 0.8, "validation": 0.9, "test": 1.0}

# Path below the folder of stamps -> function that reads the file.
Files = Mapping[str, Callable[[], bytes]]


@dataclasses.dataclass(frozen=True)
class _Pictures:
  """The pictures of a data set."""

  files: Files
  paths: tuple[str, ...]
  labels: tuple[int, ...]

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self.paths[index] for index in indices]

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    return [(self._square(i)[0], self.labels[i]) for i in indices]

  def masks(self, indices: Sequence[int]) -> list[np.ndarray]:
    return [self._square(index)[1] for index in indices]

  def captions(self, indices: Sequence[int]) -> list[str]:
    return [_caption(self.files, self.paths[index]) for index in indices]

  def _square(self, index: int) -> tuple[np.ndarray, np.ndarray]:
    return _square(self.files[self.paths[index]]())


def _load(
  name: str, files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  (package,) = files.values()
  archive = debian.unpacked(package, scratch=scratch)
  found = {
    each.name.removeprefix("./").removeprefix(_FOLDER): functools.partial(
      archives.read, each
    )
    for each in archives.members(archive)
    if each.name.removeprefix("./").startswith(_FOLDER)
  }
  return _splits(name, found)


def _load_folder(name: str, folder: pathlib.Path) -> recipe.Splits | None:
  """The pictures of the unpacked or installed package."""
  for root in (folder, folder / _FOLDER):
    if (root / "animals").is_dir():
      found = {
        path.relative_to(root).as_posix(): path.read_bytes
        for path in root.rglob("*")
        if path.suffix in (".png", ".txt")
      }
      return _splits(name, found)
  return None


def _splits(name: str, files: Files) -> recipe.Splits:
  """The pictures of a data set, by split."""
  class_of, class_names = _CLASSES[name]
  captioned = "caption" in FIELDS[name]
  labels = {
    path: class_names.index(found)
    for path in sorted(files)
    if path.endswith(".png")
    and (found := class_of(path)) is not None
    and (not captioned or _text_of(path) in files)
  }
  by_split: dict[str, list[str]] = {}
  for path in labels:
    split = _split_of(_caption(files, path)) if name == _SPLIT else "train"
    by_split.setdefault(split, []).append(path)
  return {
    split: _dataset(
      name,
      split,
      _Pictures(files, tuple(paths), tuple(map(labels.get, paths))),
    )
    for split, paths in by_split.items()
  }


def _dataset(name: str, split: str, pictures: _Pictures) -> dataset.Dataset:
  fields = {
    "segmentation_mask": dataset.Field("mask", pictures.masks),
    "caption": dataset.Field("text", pictures.captions),
  }
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=_CLASSES[name][1],
    num_examples=len(pictures.paths),
    ids=pictures.ids,
    labels=lambda: np.asarray(pictures.labels, np.int64),
    read=pictures.read,
    fields=lambda: {each: fields[each] for each in FIELDS[name]},
  )


def _split_of(caption: str) -> str:
  """The split of all pictures with a caption: 80 % train, 10 % each other."""
  words = " ".join(re.findall(r"\w+", caption.casefold()))
  digest = hashlib.blake2b(words.encode(), digest_size=8).digest()
  place = int.from_bytes(digest, "big") / 2**64
  return next(split for split, end in _ENDS.items() if place < end)


def _photographed(path: str) -> str | None:
  """The class of a photograph among the seven classes; None for others."""
  folders = pathlib.PurePosixPath(path).parts[:-1]
  above = "/".join(folders[:2])
  found = [name for name, each in _PHOTOGRAPHS.items() if each == above]
  return found[0] if found and _DRAWN not in folders else None


def _object(path: str) -> str | None:
  """The category of a photograph of an object; None for others."""
  drawn = _DRAWN in pathlib.PurePosixPath(path).parts
  category = _category(path)
  return category if category in _OBJECTS and not drawn else None


def _category(path: str) -> str | None:
  """The folder of a picture; None for those of no category."""
  category = path.partition("/")[0]
  return category if category in _CATEGORIES else None


def _text_of(path: str) -> str:
  return f"{path.removesuffix('.png')}.txt"


def _caption(files: Files, path: str) -> str:
  first = files[_text_of(path)]().partition(b"\n")[0]
  return first.decode("utf-8-sig").strip()


def _square(content: bytes) -> tuple[np.ndarray, np.ndarray]:
  """A picture on a white square, (s, s, 3) uint8, and its mask (s, s, 1).

  Raises:
    UnreadableImage: the file is damaged.
  """
  from PIL import Image

  try:
    with Image.open(io.BytesIO(content), formats=("PNG",)) as opened:
      picture = opened.convert("RGBA")
  except Exception as error:  # Pillow does not document its exceptions
    raise decoding.UnreadableImage(f"a damaged PNG: {error}") from error
  side = max(picture.size)
  ground = Image.new("RGBA", (side, side), (255, 255, 255, 0))
  place = (side - picture.width) // 2, (side - picture.height) // 2
  ground.paste(picture, place)
  white = Image.new("RGBA", (side, side), (255, 255, 255, 255))
  image = Image.alpha_composite(white, ground).convert("RGB")
  return np.asarray(image), np.asarray(ground.getchannel("A"))[..., None]


def _recipe(name: str, **counts: int) -> recipe.Recipe:
  kinds = {"segmentation_mask": "mask", "caption": "text"}
  return recipe.Recipe(
    name=name,
    version="1.0.0",
    address="https://deb.debian.org/debian/pool/main/t/tuxpaint-stamps",
    files={_PACKAGE: _SHA256},
    counts=counts,
    encoding="png",
    shape=(None, None, 3),
    load=functools.partial(_load, name),
    load_folder=functools.partial(_load_folder, name),
    fields={each: kinds[each] for each in FIELDS[name]},
    stratified=True,
  )


FIELDS = {
  "stamps": ("segmentation_mask", "caption"),
  # Four of these pictures have no caption.
  "stamps_categories": ("segmentation_mask",),
  "stamps_captions": ("segmentation_mask", "caption"),
  _SPLIT: ("segmentation_mask", "caption"),
}
_CLASSES = {
  "stamps": (_photographed, tuple(_PHOTOGRAPHS)),
  "stamps_categories": (_object, _OBJECTS),
  "stamps_captions": (_category, tuple(sorted(_CATEGORIES))),
  _SPLIT: (_category, tuple(sorted(_CATEGORIES))),
}
STAMPS = (
  _recipe("stamps", train=189),
  _recipe("stamps_categories", train=362),
  _recipe("stamps_captions", train=785),
  _recipe(_SPLIT, train=622, validation=72, test=91),
)
