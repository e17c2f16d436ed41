"""Fields of examples in tar shards: members beside the image and the label.

A mask is KEY.mask.png or KEY.seg.png. A caption is KEY.txt, if the label is in
KEY.cls or KEY.json, or if images have no labels. Its lines are the captions of
the image. A field is there if every example has it. The members are
listed when a field is first asked for, and kept in an index beside the shards.
"""

import functools
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.batches import prefetch
from jaxvision.data.formats import (
  byte_ranges,
  caption_files,
  index_file,
  tar_groups,
)

_MASKS, _CAPTION = ("mask.png", "seg.png"), "txt"
_LABELS = ("cls", "json")  # with which a .txt is a caption
_LONGEST = 1 << 20  # bytes of a caption
_THREADS = 16
_ABSENT = (-1, 0)


def load(
  paths: Sequence[pathlib.Path],
  split: str,
  order: np.ndarray,
  *,
  labelled: bool,
) -> dict[str, dataset.Field]:
  """The fields of a split.

  Args:
    paths: of the shards.
    split: its name.
    order: (n,) the place in the shards of each example.
    labelled: whether a .txt without .cls or .json is a label.

  Raises:
    ValueError: a shard is damaged.
  """
  arrays = index_file.load(
    paths[0].parent,
    f"{split}-tar-fields" + ("" if labelled else "-none"),
    of=paths,
    build=lambda: _list_all(paths, labelled),
  )
  kinds = {"segmentation_mask": "mask", "caption": "text"}
  found = {}
  for name, kind in kinds.items():
    places = arrays[name]
    missing = np.flatnonzero(places[:, 0] < 0)
    if len(missing) == 0:
      extents = byte_ranges.Extents(
        paths=tuple(map(os.fspath, paths)),
        files=arrays["files"],
        offsets=places[:, 0],
        sizes=places[:, 1],
      )
      read = functools.partial(_read, extents, order, kind)
      found[name] = dataset.Field(kind, read)
    elif len(missing) < len(places):
      logging.getLogger(__name__).warning(
        "%d of %d examples of %s have no %s, the first in %s; the others are "
        "not used",
        len(missing),
        len(places),
        split,
        name,
        files.printable(str(paths[int(arrays["files"][missing[0]])])),
      )
  return found


def _read(
  extents: byte_ranges.Extents,
  order: np.ndarray,
  kind: str,
  indices: Sequence[int],
) -> list[bytes] | list[str]:
  rows = order[np.asarray(indices, np.int64)]
  found = extents.read(rows)
  if kind == "mask":
    return found
  return [
    _text(content, extents.paths[extents.files[row]])
    for content, row in zip(found, rows, strict=True)
  ]


def _text(content: bytes, path: str) -> str:
  try:
    text = files.decode_text(content, where=f"a caption in {path}")
  except ValueError as error:  # of this example; the others can be read
    raise OSError(str(error)) from error
  return caption_files.together(text.split("\n"))


def _list_all(
  paths: Sequence[pathlib.Path], labelled: bool
) -> index_file.Arrays:
  look = functools.partial(_list, labelled)
  listed = list(prefetch.make_ahead(look, paths, threads=_THREADS))
  counts = [len(masks) for masks, _ in listed]
  masks, captions = (
    np.asarray([place for each in column for place in each], np.int64)
    for column in zip(*listed, strict=True)
  )
  return {
    "files": np.repeat(np.arange(len(paths), dtype=np.int32), counts),
    "segmentation_mask": masks,
    "caption": captions,
  }


def _list(
  labelled: bool,
  path: pathlib.Path,
) -> tuple[list[tar_groups.Place], list[tar_groups.Place]]:
  """The places of mask and caption of each example of a shard."""
  masks, captions = [], []
  with files.open_regular(path) as buffered:
    for key, members in tar_groups.read(path, buffered.raw):
      mask = next((each for each in _MASKS if each in members), None)
      masks.append(members[mask] if mask else _ABSENT)
      there = not labelled or any(each in members for each in _LABELS)
      where = f"{path}, example {key!r}"
      captions.append(_caption(members, where) if there else _ABSENT)
  return masks, captions


def _caption(
  members: Mapping[str, tar_groups.Place], where: str
) -> tar_groups.Place:
  if _CAPTION not in members:
    return _ABSENT
  place = members[_CAPTION]
  if place[1] > _LONGEST:
    raise ValueError(
      f"{where}, .{_CAPTION} has {place[1]:,} bytes; expected a caption of at "
      f"most {_LONGEST:,}"
    )
  return place
