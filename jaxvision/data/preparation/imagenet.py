"""ImageNet of the 2012 challenge (Russakovsky et al. 2015), 1000 classes.

The classes are WordNet ids ("n01440764") in alphabetical order. The training
images are an archive with one archive per class, or a folder with one folder
per class. The validation images are in one archive or folder. Their classes
follow from the numbers in their names, by a list in tensorflow-datasets. In a
folder they may also be sorted into classes.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping

from jaxvision.data import dataset
from jaxvision.data.preparation import archives, recipe

_NAME = "imagenet2012"
_TRAIN, _VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
_FOLDERS = {"train": "train", "validation": "val"}
_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")
_LABELS = f"datasets/{_NAME}/validation_labels.txt"

# An image and its class; "" for images of the validation archive.
_Labelled = tuple[archives.Member, str]


def _load(
  files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  del scratch  # the archives are not compressed
  validation = archives.members(files[_VALIDATION])
  return {
    "train": _split("train", _train_images(files[_TRAIN])),
    "validation": _split("validation", ((each, "") for each in validation)),
  }


def _load_folder(path: pathlib.Path) -> recipe.Splits:
  return {
    split: _split(split, _images_below(path / folder))
    for split, folder in _FOLDERS.items()
    if (path / folder).is_dir()
  }


def _train_images(archive: pathlib.Path) -> Iterator[_Labelled]:
  for each in archives.members(archive):
    name = pathlib.PurePath(each.name).stem
    for image in archives.members(archive, inside=each):
      yield image, name


def _images_below(folder: pathlib.Path) -> Iterator[_Labelled]:
  """The images of a folder, in folders of their classes or without them."""
  for entry in _entries(folder):
    if entry.is_dir():
      for image in _entries(entry.path):
        yield _file(image), entry.name
    else:
      yield _file(entry), ""


def _entries(folder: str | os.PathLike) -> list[os.DirEntry]:
  """The entries of a folder without hidden ones."""
  with os.scandir(folder) as entries:
    return [entry for entry in entries if not entry.name.startswith(".")]


def _file(entry: os.DirEntry) -> archives.Member:
  """A file, represented as an archive with one member."""
  path = pathlib.Path(entry.path)
  return archives.Member(entry.path, path, 0, entry.stat().st_size)


def _split(split: str, images: Iterable[_Labelled]) -> dataset.Dataset:
  names = recipe.published_names(_NAME)
  of_validation = _validation_names() if split == "validation" else []
  return archives.as_dataset(
    _with_labels(images, names, of_validation),
    name=_NAME,
    split=split,
    class_names=names,
  )


def _with_labels(
  images: Iterable[_Labelled], names: tuple[str, ...], of_validation: list[str]
) -> Iterator[tuple[archives.Member, int]]:
  numbers = {name: number for number, name in enumerate(names)}
  for member, name in images:
    name = name or _by_number(member.name, of_validation)
    if name not in numbers:
      raise ValueError(
        f"{member.name} in {member.archive} has the class {name!r}; the "
        f"classes of {_NAME} are WordNet ids such as {names[0]!r}: move the "
        "file away"
      )
    yield member, numbers[name]


def _validation_names() -> list[str]:
  """The class of each image of the validation split, by number."""
  import tensorflow_datasets as tfds

  return tfds.core.tfds_path(_LABELS).read_text().split()


def _by_number(path: str, names: list[str]) -> str:
  name = pathlib.PurePath(path).name
  match = _NUMBER.fullmatch(name)
  if not match or not 1 <= int(match[1]) <= len(names):
    raise ValueError(
      f"{path} is not in a folder of a class, and its name is not like "
      f"ILSVRC2012_val_00000001.JPEG, from 1 to {len(names)}; move the file "
      "away"
    )
  return names[int(match[1]) - 1]


IMAGENET = recipe.Recipe(
  name=_NAME,
  version="5.1.0",
  address="https://image-net.org/download-images",
  files={_TRAIN: "", _VALIDATION: ""},
  counts={"train": 1_281_167, "validation": 50_000},
  encoding="jpeg",
  shape=(None, None, 3),
  load=_load,
  load_folder=_load_folder,
  shard_size=1252,
)
