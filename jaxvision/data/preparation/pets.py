"""Oxford-IIIT Pet (Parkhi et al. 2012): 37 breeds of cats and dogs.

A line of trainval.txt and test.txt is "Abyssinian_100 1 1 1": the image, its
breed from 1, its species (cat or dog), and its breed within the species.
"""

import pathlib
from collections.abc import Mapping

from jaxvision.data.formats import refusal
from jaxvision.data.preparation import archives, recipe

_NAME = "oxford_iiit_pet"
_SPLITS = {"train": "trainval.txt", "test": "test.txt"}
_IMAGES, _ANNOTATIONS = "images.tar.gz", "annotations.tar.gz"


def _load(
  files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  images, annotations = (
    _by_name(archives.decompressed(files[file], scratch=scratch))
    for file in (_IMAGES, _ANNOTATIONS)
  )
  names = recipe.published_names(_NAME)
  splits = {}
  for split, listing in _SPLITS.items():
    if listing not in annotations:
      raise ValueError(
        f"{files[_ANNOTATIONS]} lacks {listing}; download it again"
      )
    what = f"{listing} in {files[_ANNOTATIONS]} is not a list of images"
    with refusal.naming(what, remedy="download it again"):
      lines = archives.read(annotations[listing]).decode().splitlines()
      rows = [
        (name, int(label))
        for name, label, *_ in (
          line.split() for line in lines if line[:1] not in ("", "#")
        )
      ]
    if missing := [row[0] for row in rows if f"{row[0]}.jpg" not in images]:
      raise ValueError(
        f"{files[_IMAGES]} lacks {len(missing)} of the {len(rows)} images of "
        f"{split}, such as {missing[0]}.jpg; download it again"
      )
    splits[split] = archives.as_dataset(
      [(images[f"{row[0]}.jpg"], row[1] - 1) for row in rows],
      name=_NAME,
      split=split,
      class_names=names,
    )
  return splits


def _by_name(archive: pathlib.Path) -> dict[str, archives.Member]:
  return {
    pathlib.PurePath(each.name).name: each for each in archives.members(archive)
  }


PETS = recipe.Recipe(
  name=_NAME,
  version="4.0.0",
  address="https://thor.robots.ox.ac.uk/~vgg/data/pets",
  files={
    _IMAGES: "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    _ANNOTATIONS: (
      "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"
    ),
  },
  counts={"train": 3680, "test": 3669},
  encoding="jpeg",
  shape=(None, None, 3),
  load=_load,
)
