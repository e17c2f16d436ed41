"""The variants of "Noise or Signal" of any data set with masks or boxes.

Xiao et al. 2020, Table 1 and appendix A. The layout is that of the published
ImageNet-9, see `sources.variants`, with images in PNG. Every variant has the
same images with the same names. A class folder begins with the number of the
class, as in "00_dog", so that sorted folders keep the order of the labels.

The foreground of an image of Mixed-Same, Mixed-Rand and Mixed-Next is pasted
over an Only-BG-T image of its class, of a uniformly random class, and of the
next class. The random numbers of an image follow from its name and the seed
alone. They choose among all images of a class, in the order of the data.

The folder gets its name when it is complete. Unfinished work is in
FOLDER.unfinished. An error removes it; after a crash, the next call does.
Beside the variants the folder has backgrounds.json (options, counts, images
that were left out, with the reasons) and mixed.csv (which background each mixed
image has).
"""

import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from jaxvision import files, lookup
from jaxvision.data import dataset, decoding, sources
from jaxvision.data.batches import prefetch
from jaxvision.data.preparation import (
  candidates,
  encoding,
  mixed,
  places,
  scenes,
  unfinished,
)
from jaxvision.data.sources import variants
from jaxvision.data.transforms import host
from jaxvision.files import spreadsheets
from jaxvision.processes import progress

_REPORT, _BACKGROUNDS = "backgrounds.json", "mixed.csv"
_HEADER = ("split", "variant", "class", "name", "background")
_LISTED = 5  # images in a message
# What follows from one image.
_SINGLE = tuple(
  each for each in variants.VARIANTS if each not in mixed.DISTANCES
)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Made:
  """The variants of a data set on disk.

  Attributes:
    folder: of the variants.
    counts: split -> number of images of each variant.
    left_out: split -> {id of an image: reason}.
  """

  folder: pathlib.Path
  counts: dict[str, int]
  left_out: dict[str, dict[str, str]]


def make(
  source: sources.Source,
  folder: str | os.PathLike,
  *,
  splits: Mapping[str, str],
  rules: candidates.ForegroundRules,
  pictures: scenes.Pictures | None = None,
  threads: int = 4,
) -> Made:
  """Writes the eight variants and the masks of a data set.

  Args:
    source: the data set; its labels are classes.
    folder: of the result; it must not exist.
    splits: "train", "validation" or "test" -> a split of the source, such as
      "train[:80%]".
    rules: how images are cropped, and how their foreground is found. Its seed
      is that of all random choices.
    pictures: backgrounds for the images, which replace their own; the variants
      are then made from these scenes. None keeps the images.
    threads: number of threads that read and write.

  Raises:
    FileExistsError: the folder exists.
    FileNotFoundError: the data do not exist.
    ValueError: the data have neither masks nor boxes, their labels are not
      classes, or a class of a split has no image that can be used.
  """
  folder = pathlib.Path(folder)
  _check_absent(folder)
  opened = {
    role: sources.open_dataset(source, split) for role, split in splits.items()
  }
  _check(opened)
  work = folder.with_name(f"{folder.name}.unfinished")
  made, rows = Made(folder, {}, {}), [_HEADER]
  with unfinished.fresh(work):
    _check_absent(folder)  # another process may have written it
    for role, split in opened.items():
      kept, left_out = _write_single(
        work, role, split, rules, pictures, threads=threads
      )
      written = mixed.write(work, kept, seed=rules.seed, threads=threads)
      for each in _shown(written, f"mixed images of {role}", len(kept)):
        rows += each
      made.counts[role], made.left_out[role] = len(kept), left_out
    files.write_text(work / _BACKGROUNDS, spreadsheets.to_csv(rows))
    about = _described(source, splits, rules, pictures)
    counted = {"counts": made.counts, "left_out": made.left_out}
    files.write_json(work / _REPORT, {**about, **counted})
    work.rename(folder)
  return made


def _check_absent(folder: pathlib.Path) -> None:
  if folder.exists():
    raise FileExistsError(f"{folder} exists; give another folder, or remove it")


def _check(opened: Mapping[str, dataset.Dataset]) -> None:
  for role, split in opened.items():
    if role not in variants.FOLDERS:
      raise ValueError(lookup.unknown("split", role, list(variants.FOLDERS)))
    if split.label_kind != "classes":
      raise ValueError(
        f"the labels of {split.name} are {split.label_kind}; backgrounds of "
        "the same, a random and the next class need one class per image"
      )
    if wrong := [name for name in split.class_names if "/" in name]:
      raise ValueError(
        f"{split.name} has the class {wrong[0]!r}, which cannot be the name of "
        "a folder; rename it"
      )


def _described(
  source: sources.Source,
  splits: Mapping[str, str],
  rules: candidates.ForegroundRules,
  pictures: scenes.Pictures | None,
) -> dict[str, Any]:
  """The options, as the report shows them."""
  found = {
    "data": {"kind": source.kind, "name": os.fspath(source.name)},
    "splits": dict(splits),
    "size": rules.size,
    "seed": rules.seed,
    "foreground": [rules.least, rules.most],
    "boxes": rules.boxes is not None,
  }
  if pictures:
    found["correlation"] = pictures.correlation
    found["scale"] = pictures.scale
    found["pictures"] = [
      [path.name for path in each] for each in pictures.paths
    ]
  return found


def _write_single(
  work: pathlib.Path,
  role: str,
  split: dataset.Dataset,
  rules: candidates.ForegroundRules,
  pictures: scenes.Pictures | None,
  *,
  threads: int,
) -> tuple[list[places.Place], dict[str, str]]:
  """Writes what follows from one image; the written ones, and the others."""
  side = max(1, round(rules.size * pictures.scale)) if pictures else rules.size
  read = candidates.make_reader(split, dataclasses.replace(rules, size=side))
  found = places.of_split(split, role)
  places.make_folders(work, (*_SINGLE, variants.MASKS), found)

  def write(place: places.Place) -> str:
    """Writes the files of an image, or returns the reason why not."""
    try:
      candidate = read(place.index)
      if pictures:
        candidate = scenes.compose(
          candidate,
          pictures,
          place.label,
          size=rules.size,
          rng=places.make_rng(rules.seed, "scene", place),
        )
      candidates.check_box(candidate)
      contents = _single(candidate)
    except decoding.UnreadableImage as error:
      return str(error)
    for name, content in contents.items():
      places.path_of(work, name, place).write_bytes(content)
    return ""

  results = prefetch.make_ahead(write, found, threads=threads)
  reasons = list(_shown(results, f"images of {role}", len(found)))
  kept = [each for each, why in zip(found, reasons, strict=True) if not why]
  ids = split.ids(range(split.num_examples))
  left_out = {name: why for name, why in zip(ids, reasons, strict=True) if why}
  _check_classes(split, kept, left_out)
  return kept, left_out


def _shown(results: Iterator[T], title: str, total: int) -> Iterator[T]:
  """The results, with a bar of progress."""
  with progress.open_bar(title, total=total, unit="images") as advance:
    for each in results:
      yield each
      advance(1)


def _check_classes(
  split: dataset.Dataset,
  kept: Sequence[places.Place],
  left_out: Mapping[str, str],
) -> None:
  there = {place.label for place in kept}
  empty = [n for i, n in enumerate(split.class_names) if i not in there]
  if empty:
    first = list(left_out.items())[:_LISTED]
    listed = "; ".join(f"{files.printable(k)}: {why}" for k, why in first)
    raise ValueError(
      f"{split.name} ({split.split}) has no usable image of "
      f"{', '.join(empty)}; {len(left_out)} images were left out"
      f"{': ' * bool(listed)}{listed}. Use a split with usable images of every "
      "class"
    )


def _single(found: candidates.Candidate) -> dict[str, bytes]:
  """The files of the variants that follow from one image, and of its mask."""
  image, foreground, black = found.image, found.foreground, np.uint8(0)
  made = {
    "original": image,
    "only_bg_b": host.backgrounds.black_box(image, found.box),
    "only_bg_t": host.backgrounds.tiled_box(image, found.box),
    "no_fg": host.backgrounds.paste(black, foreground, image),
    "only_fg": host.backgrounds.paste(image, foreground, black),
  }
  mask = io.BytesIO()
  np.save(mask, foreground.astype(np.uint8))
  written = {name: encoding.png(each) for name, each in made.items()}
  return {**written, variants.MASKS: mask.getvalue()}
