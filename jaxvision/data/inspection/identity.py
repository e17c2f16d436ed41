"""Which examples a split has: a digest of their ids, and keys that compare.

The ids of most sources name files, and with them their content. Where they are
only positions (.npz, TFDS, a `Dataset` of the user's own), labels and a sample
of the content count, too. Nothing reads all images. Of splits of more than a
million examples, a million ids count, evenly spread.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset

# Raised whenever equal data would get another digest.
_VERSION = 1
_MOST_IDS = 1_000_000
_BLOCK = 10_000  # ids held as text at once
_SAMPLED = 32  # examples that are read of a source that names no files
_LISTED = 5

Record = dict[str, Any]


def identify(
  splits: Mapping[str, dataset.Dataset],
) -> tuple[Record, dict[str, np.ndarray]]:
  """What must not change while a run goes on, and keys of the examples.

  Args:
    splits: by role: train, validation, test.

  Returns:
    For a JSON file {"version", "class_names", "splits": {role: {"split",
    "num_examples", "ids", "content"}}}, of which the last two are digests; and
    (n,) uint64 by role, sorted: a number for each example, equal for equal
    ones. Of more than a million examples, a million have one, evenly spread.
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
  """What is not the same in two records, in words; of roles that both have."""
  found = _class_differences(then["class_names"], now["class_names"])
  for role, each in now["splits"].items():
    before = then["splits"].get(role)
    if before is None:
      continue
    old, new = before["num_examples"], each["num_examples"]
    if old != new:
      found.append(f"{role}: {old:,} examples then, {new:,} now")
    elif then.get("version") != now["version"]:
      continue  # digests of another kind
    elif before["ids"] != each["ids"]:
      found.append(
        f"{role}: as many examples ({new:,}), but others, or in another order"
      )
    elif before["content"] != each["content"]:
      found.append(
        f"{role}: the same {new:,} examples by name, but with other labels or "
        "contents"
      )
  return found


def keeps_classes(then: Record, now: Record) -> bool:
  """Whether the classes of both have the same numbers, as far as is known.

  A class may be called otherwise now, but not be another's successor.
  """
  old, new = then["class_names"], now["class_names"]
  place = {name: number for number, name in enumerate(new)}
  return len(old) == len(new) and all(
    place.get(name, number) == number for number, name in enumerate(old)
  )


def overlaps(
  splits: Mapping[str, dataset.Dataset], keys: Mapping[str, np.ndarray]
) -> list[str]:
  """Which roles share examples, and what that does, in words.

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
          "what is measured on images that were trained on says little"
          if other == "train"
          else f"what is chosen by {other} looks better on {role} than it is"
        )
        found.append(
          f"{shared:,} of the {splits[role].num_examples:,} examples of {role} "
          f"({splits[role].split!r}) are in {other} "
          f"({splits[other].split!r}), too: {effect}"
        )
  return found


def leaves(
  split: dataset.Dataset, start: int = 0, stop: int | None = None
) -> list[dataset.Range]:
  """The ranges of whole splits of sources that a split consists of."""
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


def _identify(split: dataset.Dataset) -> tuple[Record, np.ndarray]:
  ids, content, keys = hashlib.sha256(), hashlib.sha256(), []
  for leaf, start, stop in leaves(split):
    hashes = _hashes(leaf, start, stop, split.num_examples)
    ids.update(f"{leaf.split} {start} {stop}\0".encode() + hashes.tobytes())
    where = f"{os.path.realpath(leaf.name)}\0{leaf.split}"
    keys.append(hashes ^ np.frombuffer(_hash(_encoded(where)), "<u8"))
    told = (
      _sample(leaf, start, stop) if leaf.content is None else leaf.content()
    )
    content.update(hashlib.sha256(told).digest())
  record = {
    "split": split.split,
    "num_examples": split.num_examples,
    "ids": ids.hexdigest()[:32],
    "content": content.hexdigest()[:32],
  }
  return record, np.unique(np.concatenate(keys))


def _hashes(
  leaf: dataset.Dataset, start: int, stop: int, total: int
) -> np.ndarray:
  """(n,) uint64 of the ids of a range, without the path of the data set."""
  prefix = leaf.name.rstrip("/") + "/"
  step = max(1, -(-total // _MOST_IDS))
  blocks = []
  for first in range(start, stop, _BLOCK * step):
    indices = list(range(first, min(first + _BLOCK * step, stop), step))
    names = [str(name).removeprefix(prefix) for name in leaf.ids(indices)]
    blocks.append(b"".join(_hash(_encoded(name)) for name in names))
  return np.frombuffer(b"".join(blocks), "<u8")


def _hash(content: bytes) -> bytes:
  return hashlib.blake2b(content, digest_size=8).digest()


def _encoded(text: str) -> bytes:
  return text.encode("utf-8", "surrogatepass")


def _sample(leaf: dataset.Dataset, start: int, stop: int) -> bytes:
  """Bytes of a few examples; none where reading is not repeatable."""
  count = min(_SAMPLED, stop - start)
  indices = np.linspace(start, stop - 1, count).astype(np.int64).tolist()
  once, again = (
    b"".join(_read(leaf, index) for index in indices) for _ in range(2)
  )
  return once if once == again else b""


def _read(leaf: dataset.Dataset, index: int) -> bytes:
  try:
    ((image, label),) = leaf.read([index])
  except OSError:
    return b"unreadable"
  digest = hashlib.sha256(f"{label}\0".encode())
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
