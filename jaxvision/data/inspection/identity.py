"""Identity of a split's examples: digests of their ids, and comparable keys.

The ids of most sources are file names, which identify the content. If the ids
are only positions (.npz, TFDS, a user's `Dataset`), labels and a sample of the
content are included. Images are never all read. For a split of more than a
million examples, a million evenly spaced ids are used.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset

# Increased whenever the digests of the same data change.
_VERSION = 1
_MOST_IDS = 1_000_000
_BLOCK = 10_000  # ids that are in memory as text
_SAMPLED = 32  # examples that are read if the ids are not file names
_LISTED = 5

Record = dict[str, Any]


def identify(
  splits: Mapping[str, dataset.Dataset],
) -> tuple[Record, dict[str, np.ndarray]]:
  """The identity of the data of a run, and keys of the examples.

  Args:
    splits: by role: train, validation, test.

  Returns:
    A JSON object {"version", "class_names", "splits": {role: {"split",
    "num_examples", "ids", "content"}}}, whose last two fields are digests; and
    sorted (n,) uint64 keys by role: equal examples have equal keys. If there
    are more than a million examples, a million evenly spaced ones have keys.
  """
  described, keys = {}, {}
  for role, each in splits.items():
    described[role], keys[role] = _identify(each)
  record = {
    "version": _VERSION,
    "class_names": list(next(iter(splits.values())).class_names),
    "splits": described,
  }
  return record, keys


def differences(then: Record, now: Record) -> list[str]:
  """Describes the differences of two records, for the roles that both have."""
  found = _class_differences(then["class_names"], now["class_names"])
  for role, each in now["splits"].items():
    before = then["splits"].get(role)
    if before is None:
      continue
    old, new = before["num_examples"], each["num_examples"]
    if old != new:
      found.append(f"{role}: {old:,} examples then, {new:,} now")
    elif then.get("version") != now["version"]:
      continue  # digests of another version cannot be compared
    elif before["ids"] != each["ids"]:
      found.append(
        f"{role}: as many examples ({new:,}), but different ones, or in "
        "another order"
      )
    elif before["content"] != each["content"]:
      found.append(
        f"{role}: the same {new:,} examples by name, but with different labels "
        "or contents"
      )
  return found


def keeps_classes(then: Record, now: Record) -> bool:
  """Whether the classes of both records have the same numbers, if known.

  A class may have a new name, but no other class may take its number.
  """
  old, new = then["class_names"], now["class_names"]
  place = {name: number for number, name in enumerate(new)}
  return len(old) == len(new) and all(
    place.get(name, number) == number for number, name in enumerate(old)
  )


def overlaps(
  splits: Mapping[str, dataset.Dataset], keys: Mapping[str, np.ndarray]
) -> list[str]:
  """Describes which roles share examples, and the effect.

  Args:
    splits: by role, "train" first.
    keys: from `identify`.
  """
  found, roles = [], list(splits)
  for place, role in enumerate(roles):
    for other in roles[:place]:
      shared = len(np.intersect1d(keys[role], keys[other], assume_unique=True))
      if shared:
        effect = (
          "metrics on training images do not measure generalization"
          if other == "train"
          else f"a choice made on {other} biases the metrics on {role}"
        )
        found.append(
          f"{shared:,} of the {splits[role].num_examples:,} examples of {role} "
          f"({splits[role].split!r}) are also in {other} "
          f"({splits[other].split!r}): {effect}"
        )
  return found


def leaves(
  split: dataset.Dataset, start: int = 0, stop: int | None = None
) -> list[dataset.Range]:
  """The ranges of the source splits that a split consists of."""
  stop = split.num_examples if stop is None else stop
  if not split.ranges:
    return [(split, start, stop)]
  found, first = [], 0
  for part, begin, end in split.ranges:
    low, high = max(start - first, 0), min(stop - first, end - begin)
    if low < high:
      found += leaves(part, begin + low, begin + high)
    first += end - begin
  return found


def _parts(
  split: dataset.Dataset,
) -> list[tuple[dataset.Dataset, Sequence[int]]]:
  """The source splits of a split, with the numbers of its examples in them."""
  if split.chosen is None:
    return [(leaf, range(start, stop)) for leaf, start, stop in leaves(split)]
  whole, rows = split.chosen
  found, first = [], 0
  for leaf, start, stop in leaves(whole):
    low, high = np.searchsorted(rows, (first, first + stop - start))
    if low < high:
      found.append((leaf, rows[low:high] - first + start))
    first += stop - start
  return found


def _identify(split: dataset.Dataset) -> tuple[Record, np.ndarray]:
  ids, content, keys = hashlib.sha256(), hashlib.sha256(), []
  for leaf, rows in _parts(split):
    hashes = _hashes(leaf, rows, split.num_examples)
    ids.update(f"{leaf.split} {_written(rows)}\0".encode() + hashes.tobytes())
    where = f"{os.path.realpath(leaf.name)}\0{leaf.split}"
    keys.append(hashes ^ np.frombuffer(_hash(_encoded(where)), "<u8"))
    data = _sample(leaf, rows) if leaf.content is None else leaf.content()
    content.update(hashlib.sha256(data).digest())
  record = {
    "split": split.split,
    "num_examples": split.num_examples,
    "ids": ids.hexdigest()[:32],
    "content": content.hexdigest()[:32],
  }
  return record, np.unique(np.concatenate(keys))


def _written(rows: Sequence[int]) -> str:
  """The numbers of the examples; the ids tell those of a choice."""
  if isinstance(rows, range):
    return f"{rows.start} {rows.stop}"
  return f"{len(rows)} chosen"


def _hashes(
  leaf: dataset.Dataset, rows: Sequence[int], total: int
) -> np.ndarray:
  """(n,) uint64 hashes of the ids of rows, without the data set's path."""
  prefix = leaf.name.rstrip("/") + "/"
  step = max(1, -(-total // _MOST_IDS))
  rows, blocks = rows[::step], []
  for first in range(0, len(rows), _BLOCK):
    indices = [int(row) for row in rows[first : first + _BLOCK]]
    names = [str(name).removeprefix(prefix) for name in leaf.ids(indices)]
    blocks.append(b"".join(_hash(_encoded(name)) for name in names))
  return np.frombuffer(b"".join(blocks), "<u8")


def _hash(content: bytes) -> bytes:
  return hashlib.blake2b(content, digest_size=8).digest()


def _encoded(text: str) -> bytes:
  return text.encode("utf-8", "surrogatepass")


def _sample(leaf: dataset.Dataset, rows: Sequence[int]) -> bytes:
  """Bytes of a few examples; empty if reading is not reproducible."""
  count = min(_SAMPLED, len(rows))
  if isinstance(rows, range):
    places = np.linspace(rows.start, rows.stop - 1, count)
    indices = places.astype(np.int64).tolist()
  else:
    places = np.linspace(0, len(rows) - 1, count).astype(np.int64)
    indices = rows[places].tolist()
  once, again = (
    b"".join(_read(leaf, index) for index in indices) for _ in range(2)
  )
  return once if once == again else b""


def _read(leaf: dataset.Dataset, index: int) -> bytes:
  try:
    ((image, label),) = leaf.read([index])
  except OSError:
    return b"unreadable"
  # An array is written shortened as text.
  written = f"{label}" if np.ndim(label) == 0 else np.asarray(label).tolist()
  digest = hashlib.sha256(f"{written}\0".encode())
  if isinstance(image, bytes):
    digest.update(image)
  else:
    array = np.ascontiguousarray(image)
    digest.update(f"{array.dtype} {array.shape}\0".encode())
    digest.update(array.tobytes())
  return digest.digest()


def _class_differences(then: Sequence[str], now: Sequence[str]) -> list[str]:
  if list(then) == list(now):
    return []
  gone = [name for name in then if name not in set(now)]
  new = [name for name in now if name not in set(then)]
  found = []
  if len(then) != len(now):
    found.append(f"classes: {len(then):,} then, {len(now):,} now")
  for names, what in ((gone, "no longer there"), (new, "new")):
    if names:
      rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
      listed = ", ".join(map(repr, names[:_LISTED]))
      found.append(f"classes: {listed}{rest} {what}")
  moved = [n for n, name in enumerate(now) if name not in then[n : n + 1]]
  known = [n for n in moved if now[n] in set(then)]
  if known:
    number = known[0]
    found.append(
      f"classes: {len(known):,} have another number; {now[number]!r} was "
      f"{list(then).index(now[number])} and is {number}"
    )
  return found
