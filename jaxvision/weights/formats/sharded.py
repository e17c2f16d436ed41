"""Files of weights in several shards, with an index.

Hugging Face splits large networks into files such as
model-00001-of-00002.safetensors, and writes model.safetensors.index.json beside
them: {"weight_map": {name: file}}. Given the index, its shards are one file.
"""

import pathlib
from collections.abc import Callable

from jaxvision import files
from jaxvision.weights.formats.array_file import ArrayFile, Entry

SUFFIX = ".safetensors.index.json"
_LARGEST_INDEX = 1 << 26  # bytes
_SHARD = ".safetensors"


def read(
  path: pathlib.Path, open_file: Callable[[pathlib.Path], ArrayFile]
) -> ArrayFile:
  """Returns the arrays of all shards.

  Args:
    path: path of the index; the shards are beside it.
    open_file: opens a shard.

  Raises:
    FileNotFoundError, OSError: the index or a shard does not exist.
    ValueError: the index or a shard is damaged, they contradict each other, or
      a shard is in another folder.
  """
  shown = files.printable(path)
  places = _weight_map(path)
  keys: dict[str, set[str]] = {}
  for key, name in places.items():
    keys.setdefault(name, set()).add(key)
  found: dict[str, Entry] = {}
  for name, expected in keys.items():
    shard = path.with_name(name)
    if not shard.exists():
      raise FileNotFoundError(
        f"{shown} needs the shard {files.printable(shard)}, which does not "
        "exist: fetch it, too"
      )
    entries = open_file(shard).entries
    for key in sorted(expected ^ entries.keys())[:1]:
      where = "the index" if key in entries else "this shard"
      raise ValueError(
        f"{shown}: the shard {name} does not fit, because "
        f"{files.printable(key)} is not in {where}; fetch all files again"
      )
    found |= entries
  return ArrayFile(path, {key: found[key] for key in places}, {})


def _weight_map(path: pathlib.Path) -> dict[str, str]:
  """Returns {name of an array: name of its shard}."""
  shown = files.printable(path)
  try:
    index = files.read_json(path)
    places = index["weight_map"]
    right = {type(each) for each in places.values()} <= {str}
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f"{shown} is not an index of shards, or is damaged: fetch it again"
    ) from error
  for name in places.values():
    if not right or not _is_plain(name):
      raise ValueError(
        f"{shown} names the shard {files.printable(name)}; expected the name "
        f"of a {_SHARD} file in the same folder"
      )
  if not places:
    raise ValueError(f"{shown} names no shards: fetch it again")
  return places


def _is_plain(name: str) -> bool:
  """Whether a name is of a file in the same folder."""
  return name.endswith(_SHARD) and not set(name) & set('/\\:*?"<>|\0')
