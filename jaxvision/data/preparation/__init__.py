"""Preparation of published data sets: from their files to array_record.

tensorflow-datasets needs TensorFlow to prepare these data sets. It can read the
data sets that this package prepares. Checksums and addresses are those of
tensorflow-datasets.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from jaxvision import lookup
from jaxvision.data import sources
from jaxvision.data.preparation import (
  building,
  cifar,
  flowers,
  hangul,
  imagenet,
  mnist,
  pets,
  recipe,
  samples,
  stamps,
)
from jaxvision.data.preparation.backgrounds import make as make_backgrounds
from jaxvision.data.preparation.candidates import (
  ForegroundRules,
  boxes_of,
  original_names,
)
from jaxvision.data.preparation.scenes import assign as assign_pictures
from jaxvision.data.sources import prepared
from jaxvision.downloads import fetch

__all__ = [
  "ForegroundRules",
  "assign_pictures",
  "boxes_of",
  "make_backgrounds",
  "original_names",
  "prepare",
]

RECIPES: dict[str, recipe.Recipe] = {
  each.name: each
  for each in (
    cifar.CIFAR10,
    cifar.CIFAR100,
    mnist.FASHION_MNIST,
    hangul.HANGUL,
    imagenet.IMAGENET,
    mnist.MNIST,
    flowers.FLOWERS,
    pets.PETS,
    *stamps.STAMPS,
    *samples.SAMPLES,
  )
}


def prepare(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  source: str | os.PathLike | None = None,
  resize_small: int = 0,
  quality: int = 0,
  threads: int = 4,
  allow_partial: bool = False,
) -> pathlib.Path:
  """Prepares a data set; returns at once if it exists with equal options.

  Args:
    name: one of prepared.OURS, or of prepared.SHORT_NAMES.
    data_dir: the target; None means $TFDS_DATA_DIR, or ~/tensorflow_datasets.
    source: a folder with the published files, one of these files, or the
      address of the folder. For imagenet2012 it may be a folder of images, for
      stamps and samples the unpacked package, for hangul a folder of fonts. For
      every data set it may be a data_dir in which tensorflow-datasets has
      prepared it. "digits" needs none.
    resize_small: images whose shorter side has more pixels are resized to it; 0
      keeps the size.
    quality: re-encodes every JPEG at this quality; 0 keeps files where
      possible.
    threads: number of threads that write.
    allow_partial: accepts a part of the published files, whose checksums are
      then not compared, and skips unreadable images.

  Returns:
    The directory of the prepared data.

  Raises:
    FileNotFoundError: a published file does not exist.
    ConnectionError: an address cannot be reached.
    ValueError: jaxvision cannot prepare this data set, or the files are not the
      expected ones.
  """
  name = prepared.SHORT_NAMES.get(name, name)
  if name not in prepared.OURS:
    raise ValueError(
      lookup.unknown("data set to prepare", name, prepared.OURS)
      + "; to prepare other data sets, install TensorFlow and run "
      f"`tfds build {name} --file_format=array_record`"
    )
  options = {"resize_small": resize_small, "quality": quality}
  if name == "digits":
    return _prepare_digits(prepared.root(data_dir), source, options)
  of = RECIPES[name]
  if resize_small and "mask" in of.fields.values():
    raise ValueError(
      f"{name} has masks, which are stored with their images unchanged; omit "
      "--resize_small, and resize in the transforms of the config"
    )
  final = prepared.root(data_dir) / name / of.version
  if final.exists():
    _check_options(final, options)
    return final
  if not source:
    raise ValueError(
      f"{name} needs {', '.join(of.files)} from {of.address}: give their "
      "folder with --source=FOLDER, or the address of a mirror"
    )
  return building.build(
    of,
    functools.partial(_load, of, os.fspath(source), not allow_partial),
    prepared.root(data_dir),
    **options,
    threads=threads,
    allow_partial=allow_partial,
  )


def _prepare_digits(
  data_dir: pathlib.Path, source: Any, options: dict[str, int]
) -> pathlib.Path:
  if source or any(options.values()):
    raise ValueError(
      "digits are included in scikit-learn and stored unchanged: give neither "
      "a source nor options"
    )
  # Imported here, because the builder class needs tensorflow-datasets.
  from jaxvision.data.preparation import digits

  return digits.prepare(data_dir)


def _check_options(final: pathlib.Path, options: dict[str, int]) -> None:
  made = building.options_of(final)
  if made != options:
    raise ValueError(
      f"{final} already exists with {made}, not with {options}; give another "
      "--data_dir, or remove it"
    )


def _load(
  of: recipe.Recipe, source: str, whole: bool, scratch: pathlib.Path
) -> recipe.Splits:
  """The splits of a source; the examples are read later."""
  if "://" in source:
    urls = {name: f"{source.rstrip('/')}/{name}" for name in of.files}
    files = {
      name: fetch.local_path(url, sha256=of.files[name] if whole else None)
      for name, url in urls.items()
    }
    return of.load(files, scratch)
  folder = pathlib.Path(source).expanduser()
  if folder.name in of.files or folder.name in of.refused:
    folder = folder.parent
  if prepared.scan(folder / of.name, name=of.name):
    return _load_copy(of, folder)
  if of.load_folder and (splits := of.load_folder(folder)):
    return splits
  return of.load(_find(of, folder, whole), scratch)


def _load_copy(of: recipe.Recipe, data_dir: pathlib.Path) -> recipe.Splits:
  """The splits that tensorflow-datasets has prepared with TensorFlow."""
  part = sources.Source(kind="tfds", name=of.name, data_dir=data_dir)
  return {
    split: dataclasses.replace(
      sources.open_dataset(part, split), name=of.name, split=split
    )
    for split in of.counts
  }


def _find(
  of: recipe.Recipe, folder: pathlib.Path, whole: bool
) -> dict[str, pathlib.Path]:
  """The published files in a folder, compressed or decompressed.

  Files that are published in several folders may also be in one.
  """
  found, missing = {}, []
  for name, sha256 in of.files.items():
    packed = folder / name
    if not packed.exists():
      packed = folder / packed.name
    plain = packed.with_name(packed.name.removesuffix(".gz"))
    if packed.is_file() and sha256 and whole:
      fetch.local_path(packed, sha256=sha256)
    if packed.is_file() or plain.is_file():
      found[name] = packed if packed.is_file() else plain
    else:
      missing.append(name)
  if missing:
    refused = [each for each in of.refused if (folder / each).exists()]
    why = (
      ""
      if not refused
      else (f"; {refused[0]} is not read, because unpickling can run any code")
    )
    raise FileNotFoundError(
      f"{', '.join(missing)} of {of.name} is not in {folder}{why}: download it "
      f"from {of.address}"
    )
  return found
