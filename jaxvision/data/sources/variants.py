"""The variants of images of "Noise or Signal": published and made ones.

Xiao et al. 2020 published ImageNet-9 as ROOT/VARIANT/val/CLASS/NAME.JPEG, and
the masks of the foregrounds as ROOT/fg_mask/val/CLASS/NAME.npy. Each variant is
a folder of images with a split; `preparation.backgrounds` writes the same
layout. The masks belong to the images of "original" with the same names.
"""

import collections
import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxvision import files, lookup
from jaxvision.data import dataset
from jaxvision.data.formats import refusal
from jaxvision.data.sources import folder, source

ORIGINAL, TILED = "original", "only_bg_t"
# In the order of tables.
VARIANTS = (
  *(ORIGINAL, "only_bg_b", TILED, "no_fg", "only_fg"),
  *("mixed_same", "mixed_rand", "mixed_next"),
)
MASKS = "fg_mask"
# Split -> its folder.
FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_ENDING = ".npy"
_LARGEST = 1 << 30  # bytes of a mask


def variants_of(root: str | os.PathLike, *, split: str) -> tuple[str, ...]:
  """The variants that a folder has, in the order of `VARIANTS`.

  Args:
    root: the folder of the variants.
    split: "train", "validation" or "test".

  Raises:
    FileNotFoundError: there is no such folder, or it has none.
    ValueError: another split.
  """
  paths = {name: _path(root, name, split) for name in VARIANTS}
  found = tuple(name for name, path in paths.items() if path.is_dir())
  if not found:
    listed = ", ".join(f"{name}/{FOLDERS[split]}" for name in VARIANTS)
    what = f"{root} has no variant of the split {split!r}"
    if not pathlib.Path(root).is_dir():
      what = f"no folder {root}"
    raise FileNotFoundError(
      f"{what}; expected at least one of the folders {listed}, each with a "
      "folder of images per class"
    )
  return found


def open_variant(
  root: str | os.PathLike, variant: str, *, split: str = "validation"
) -> dataset.Dataset:
  """Opens a variant of the images.

  Its class names are those of the folders, such as "00_dog". "original" has the
  field "segmentation_mask", (h, w, 1) of 0 and 255, if there are masks.

  Args:
    root: the folder of the variants.
    variant: one of `VARIANTS`.
    split: "train", "validation" or "test".

  Raises:
    FileNotFoundError: the folder of the variant does not exist.
    ValueError: another variant or split, or the folder is not a folder of
      images. Reading the fields raises it if an image has no mask, a mask no
      image, or two images have one mask.
  """
  if variant not in VARIANTS:
    raise ValueError(lookup.unknown("variant", variant, VARIANTS))
  path = _path(root, variant, split)
  if not path.is_dir():
    there = ", ".join(variants_of(root, split=split))
    raise FileNotFoundError(
      f"no folder {path} of the variant {variant!r}; {root} has {there}"
    )
  loaded = folder.load(source.Source(kind="folder", name=str(path.parent)))
  opened = loaded[split]
  masks = _path(root, MASKS, split)
  if variant != ORIGINAL or not masks.is_dir():
    return opened
  fields = functools.partial(_fields, opened, masks)
  return dataclasses.replace(opened, fields=fields)


def _path(root: str | os.PathLike, name: str, split: str) -> pathlib.Path:
  if split not in FOLDERS:
    raise ValueError(lookup.unknown("split", split, list(FOLDERS)))
  return pathlib.Path(root) / name / FOLDERS[split]


def _fields(
  opened: dataset.Dataset, masks: pathlib.Path
) -> dict[str, dataset.Field]:
  """The masks of images, which are checked to be complete."""
  images = opened.ids(range(opened.num_examples))
  expected = {_mask_of(image, masks): image for image in images}
  if len(expected) < len(images):
    (path, _), *_ = collections.Counter(
      _mask_of(image, masks) for image in images
    ).most_common(1)
    raise ValueError(
      f"several images of {opened.name} have the mask {files.printable(path)}; "
      "their names must differ before the ending: rename the images and masks"
    )
  there = set(masks.glob(f"*/*{_ENDING}"))
  missing = sorted(set(expected) - there)
  foreign = sorted(there - set(expected))
  if missing:
    raise ValueError(
      f"{len(missing)} of {len(images)} images have no mask, such as "
      f"{files.printable(expected[missing[0]])}: expected "
      f"{files.printable(missing[0])}; copy the masks again"
    )
  if foreign:
    raise ValueError(
      f"{len(foreign)} masks belong to no image of {opened.name}, such as "
      f"{files.printable(foreign[0])}; remove them, or copy the images again"
    )
  read = functools.partial(_read, opened, masks)
  return {"segmentation_mask": dataset.Field("mask", read)}


def _mask_of(image: str, masks: pathlib.Path) -> pathlib.Path:
  path = pathlib.Path(image)
  return masks / path.parent.name / f"{path.stem}{_ENDING}"


def _read(
  opened: dataset.Dataset, masks: pathlib.Path, indices: Sequence[int]
) -> list[np.ndarray]:
  paths = [_mask_of(image, masks) for image in opened.ids(indices)]
  return [_read_mask(path) for path in paths]


def _read_mask(path: pathlib.Path) -> np.ndarray:
  """(h, w, 1) uint8 of 0 and 255."""
  content = files.read_bytes(path, limit=_LARGEST)
  with refusal.naming(f"{path} is not a mask", remedy="copy it again"):
    found = np.load(io.BytesIO(content), allow_pickle=False)
    if found.ndim != 2:
      raise ValueError(
        f"its shape is {list(found.shape)}; expected two numbers"
      )
    return np.where(found[..., None] != 0, 255, 0).astype(np.uint8)
