"""Names and folders of the images of the variants, and their random numbers."""

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.decoding import unreadable
from jaxvision.data.preparation import candidates
from jaxvision.data.sources import variants


@dataclasses.dataclass(frozen=True)
class Place:
  """Where the images of an example are.

  Attributes:
    index: of the example in its split.
    label: its class.
    split: "train", "validation" or "test".
    folder: of the class, such as "00_dog".
    name: of the files without ending; the names of a class differ.
  """

  index: int
  label: int
  split: str
  folder: str
  name: str


def of_split(split: dataset.Dataset, role: str) -> list[Place]:
  """The place of each example of a split.

  Args:
    split: the examples.
    role: "train", "validation" or "test".
  """
  digits = max(2, len(str(len(split.class_names) - 1)))
  labels = split.labels().tolist()
  names = [
    # A dot would hide a file, or make it the mask of another one.
    name.replace(".", "_")
    for name in candidates.original_names(split)
  ]
  named = zip(labels, _distinct(labels, names), strict=True)
  return [
    Place(
      index,
      label,
      role,
      f"{label:0{digits}d}_{split.class_names[label]}",
      name,
    )
    for index, (label, name) in enumerate(named)
  ]


def _distinct(labels: Sequence[int], names: Sequence[str]) -> list[str]:
  """The names; equal ones of a class get the number of the example."""
  counts = collections.Counter(zip(labels, names, strict=True))
  if len(counts) == len(names):
    return list(names)
  longer = [
    name if counts[label, name] == 1 else f"{name}_{index:06d}"
    for index, (label, name) in enumerate(zip(labels, names, strict=True))
  ]
  # A longer name may be that of another image.
  return _distinct(labels, longer)


def make_folders(
  root: pathlib.Path, names: Iterable[str], places: Iterable[Place]
) -> None:
  """Makes the class folders of variants."""
  folders = {(each.split, each.folder) for each in places}
  for name in names:
    for split, folder in folders:
      path = root / name / variants.FOLDERS[split] / folder
      path.mkdir(parents=True, exist_ok=True)


def path_of(root: pathlib.Path, variant: str, place: Place) -> pathlib.Path:
  """The file of an image, or of the mask if the variant is "fg_mask"."""
  folder = root / variant / variants.FOLDERS[place.split] / place.folder
  ending = ".npy" if variant == variants.MASKS else ".png"
  return folder / f"{place.name}{ending}"


def load(root: pathlib.Path, variant: str, place: Place) -> np.ndarray:
  """The image of a place, (h, w, 3) uint8."""
  path = path_of(root, variant, place)
  return decoding.read_image(path, channels=3, max_pixels=unreadable.MAX_PIXELS)


def make_rng(seed: int, purpose: str, place: Place) -> np.random.Generator:
  """Random numbers for one purpose, which follow from seed and name."""
  key = f"{seed}/{purpose}/{place.split}/{place.folder}/{place.name}"
  # The names of files may have bytes that are not UTF-8.
  content = key.encode("utf-8", "surrogateescape")
  digest = hashlib.blake2b(content, digest_size=16).digest()
  return np.random.Generator(np.random.Philox(int.from_bytes(digest, "big")))
