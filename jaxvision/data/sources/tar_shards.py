"""Tar files that are the shards of a data set: where they are, of which split.

They are PATH/*.tar, PATH/SPLIT/*.tar, one file, or what a pattern finds. Their
names, or those of their folders, name their split in words: "zoo-train-01.tar",
"dev/0.tar". If none names a split, all are training data.
"""

import collections
import glob
import logging
import pathlib
import re
from collections.abc import Sequence

from jaxvision.data.decoding import image_files
from jaxvision.data.sources import splits

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_DIGITS = re.compile(r"\d+")


def find(name: str) -> dict[str, list[pathlib.Path]]:
  """{split: its shards, sorted}, in the order of the splits.

  Raises:
    FileNotFoundError: there are no shards.
    ValueError: some name a split and others none; a name of several splits, or
      that sounds like a split and is none; compressed shards; shards both in
      the folder and in folders below it.
  """
  path = pathlib.Path(name)
  found, below = _files(path, name)
  spelled: dict[str, str] = {}
  by_split: dict[str, list[pathlib.Path]] = {}
  for each in found:
    text = each.parent.name if below else each.stem
    words = splits.words(text)
    for word, split in words.items():
      if spelled.setdefault(split, word) != word and split:
        raise ValueError(
          f"{name} has shards called {spelled[split]!r} and others called "
          f"{word!r}, both of which mean the {split} split; choose one of them "
          'with a pattern, as in "shards/*-val-*.tar"'
        )
    by_split.setdefault("+".join(sorted(set(words.values()))), []).append(each)
    if "" in words.values():
      raise ValueError(
        f"{each} sounds like a split, but it is not known which; its name must "
        f"contain one of {', '.join(splits.NAMES)}, or say what to read with a "
        'pattern, as in "shards/*-train-*.tar"'
      )
  if set(by_split) == {""}:
    _say_if_several(name, found, below)
    return {"train": by_split[""]}
  wrong = [
    paths[0] for each, paths in by_split.items() if each not in splits.SPLITS
  ]
  if wrong:
    raise ValueError(
      f"{wrong[0]} names no split, or several, but other shards of {name} "
      f"name one; their names must contain one of {', '.join(splits.NAMES)}, "
      "or none of them may"
    )
  return {each: by_split[each] for each in splits.SPLITS if each in by_split}


def _files(path: pathlib.Path, name: str) -> tuple[list[pathlib.Path], bool]:
  """The shards, and whether they lie in folders below the path."""
  if not path.is_dir():
    # A name with brackets is a file first, a pattern only if there is none.
    named = [path] if path.exists() else map(pathlib.Path, glob.glob(name))
    return _some(sorted(named), path), False
  here, below = (_visible(path, pattern) for pattern in ("*", "*/*"))
  tars = [
    [each for each in files if each.name.endswith(".tar")]
    for files in (here, below)
  ]
  if all(tars):
    raise ValueError(
      f"{path} has shards ({tars[0][0].name}) and folders of shards "
      f"({tars[1][0].parent.name}); keep one of the two, or use a pattern"
    )
  packed = [
    each
    for each in (*here, *below)
    if each.name.lower().endswith(_COMPRESSED)
    or (each.name.lower().endswith(".tar") and not each.name.endswith(".tar"))
  ]
  if packed:
    raise ValueError(
      f"{packed[0]} ({len(packed)} such files) would be left out: shards are "
      "files .tar, not compressed; unpack or rename it, or use a pattern"
    )
  return _some(tars[0] or tars[1], path), not tars[0]


def _visible(path: pathlib.Path, pattern: str) -> list[pathlib.Path]:
  return sorted(
    each
    for each in path.glob(pattern)
    if not image_files.is_hidden(each.relative_to(path).as_posix())
  )


def _some(found: list[pathlib.Path], path: pathlib.Path) -> list[pathlib.Path]:
  if not found:
    raise FileNotFoundError(
      f"no .tar in {path.absolute()}; data.name must be a folder of shards, "
      'one shard, or a pattern as in "shards/*-train-*.tar"'
    )
  return found


def _say_if_several(
  name: str, found: Sequence[pathlib.Path], below: bool
) -> None:
  """A warning where shards of several names are all training data."""
  texts = [each.parent.name if below else each.stem for each in found]
  kinds = collections.Counter(_DIGITS.sub("#", text) for text in texts)
  if len(kinds) > 1:
    logging.getLogger(__name__).warning(
      "the shards of %s have names of %d kinds (%s), none of which names a "
      "split: all of them are training data",
      name,
      len(kinds),
      ", ".join(list(kinds)[:5]),
    )
