"""The tar shards of a data set: their paths and splits.

They are PATH/*.tar, PATH/SPLIT/*.tar, one file, or the matches of a pattern. A
word in the name of a shard, or of its folder, names its split:
"zoo-train-01.tar", "dev/0.tar". If no name contains a split, all shards are
training data.
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
    ValueError: only some names contain a split; a name contains several splits,
      or an ambiguous word; shards are compressed; or shards are both in the
      folder and in folders below it.
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
          f"{name} has shards named {spelled[split]!r} and others named "
          f"{word!r}, which both mean the {split} split; select one of them "
          'with a pattern, as in "shards/*-val-*.tar"'
        )
    by_split.setdefault("+".join(sorted(set(words.values()))), []).append(each)
    if "" in words.values():
      raise ValueError(
        f"the split of {each} is ambiguous; its name must contain one of "
        f"{', '.join(splits.NAMES)}, or select the shards with a pattern, as "
        'in "shards/*-train-*.tar"'
      )
  if set(by_split) == {""}:
    _warn_if_several(name, found, below)
    return {"train": by_split[""]}
  wrong = [
    paths[0] for each, paths in by_split.items() if each not in splits.SPLITS
  ]
  if wrong:
    raise ValueError(
      f"the name of {wrong[0]} contains no split, or several, but names of "
      f"other shards of {name} contain one; either all names must contain one "
      f"of {', '.join(splits.NAMES)}, or no name"
    )
  return {each: by_split[each] for each in splits.SPLITS if each in by_split}


def _files(path: pathlib.Path, name: str) -> tuple[list[pathlib.Path], bool]:
  """The shards, and whether they are in folders below the path."""
  if not path.is_dir():
    # A name with brackets is a pattern only if there is no file of this name.
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
      f"{packed[0]} ({len(packed)} such files) would be skipped: shards must "
      "be uncompressed .tar files; decompress or rename it, or use a pattern"
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


def _warn_if_several(
  name: str, found: Sequence[pathlib.Path], below: bool
) -> None:
  """Warns if shards with several kinds of names are all training data."""
  texts = [each.parent.name if below else each.stem for each in found]
  kinds = collections.Counter(_DIGITS.sub("#", text) for text in texts)
  if len(kinds) > 1:
    logging.getLogger(__name__).warning(
      "the shards of %s have names of %d kinds (%s), and none contains a "
      "split: all of them are training data",
      name,
      len(kinds),
      ", ".join(list(kinds)[:5]),
    )
