"""Index files: arrays that describe other files, computed once and stored.

An index is a hidden file .jaxvision-NAME.npz beside the indexed files. If that
folder is not writable, it is in $JAXVISION_CACHE/indexes (by default
~/.cache/jaxvision/indexes). It contains a digest of the names, sizes and
modification times of the indexed files, and is recomputed when they change.
"""

import hashlib
import logging
import os
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data.formats import npz

Arrays = dict[str, np.ndarray]

# Increased whenever the meaning of the arrays changes.
_VERSION = 4
_DIGEST = "digest"
# File times are coarse: a file that has just changed may change again without a
# new modification time.
_SETTLED_NS = 2_000_000_000


def load(
  directory: pathlib.Path,
  name: str,
  *,
  of: Sequence[pathlib.Path],
  build: Callable[[], Arrays],
) -> Arrays:
  """Loads the index of some files, or computes and stores it.

  An index on disk is used if its digest matches. Several processes may call
  this at the same time: each stores a complete index or none.

  Args:
    directory: of the files; the index is stored here.
    name: of the index in this directory.
    of: the indexed files, or folders whose lists of names are indexed.
    build: computes the arrays.

  Returns:
    The arrays.

  Raises:
    FileNotFoundError: one of the files does not exist.
  """
  started = time.time_ns()
  stats = [path.stat() for path in of]
  digest = _digest(directory, of, stats)
  places = _places(directory, name)
  for place in places:
    arrays = _read(place, digest)
    if arrays is not None:
      return arrays
  arrays = build()
  newest = max(each.st_mtime_ns for each in stats)
  if newest < started - _SETTLED_NS:
    _store(places, {**arrays, _DIGEST: digest})
  return arrays


def _digest(
  directory: pathlib.Path,
  paths: Sequence[pathlib.Path],
  stats: Sequence[os.stat_result],
) -> np.ndarray:
  """(32,) uint8 digest of everything that invalidates the index."""
  digest = hashlib.sha256(f"index {_VERSION}\n".encode())
  for path, stat in zip(paths, stats, strict=True):
    name = os.fsencode(os.path.relpath(path, directory))
    digest.update(b"%d %d %s\0" % (stat.st_size, stat.st_mtime_ns, name))
  return np.frombuffer(digest.digest(), np.uint8)


def _places(directory: pathlib.Path, name: str) -> list[pathlib.Path]:
  """The two possible paths: beside the files, and in the cache folder."""
  where = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
  elsewhere = files.cache_folder() / "indexes" / where
  return [each / f".jaxvision-{name}.npz" for each in (directory, elsewhere)]


def _read(place: pathlib.Path, digest: np.ndarray) -> Arrays | None:
  """The arrays of an index, if it is complete and matches the digest."""
  try:
    arrays = npz.read(place, remedy="it is recomputed")
  except (OSError, ValueError):
    return None
  if not np.array_equal(arrays.pop(_DIGEST, None), digest):
    return None
  return arrays


def _store(places: Sequence[pathlib.Path], arrays: Arrays) -> None:
  reasons = []
  for place in places:
    try:
      return _write(place, arrays)
    except OSError as error:
      reasons.append(str(error))
  logging.getLogger(__name__).warning(
    "the index cannot be stored and will be recomputed next time: %s",
    "; ".join(reasons),
  )


def _write(place: pathlib.Path, arrays: Arrays) -> None:
  place.parent.mkdir(parents=True, exist_ok=True)
  with files.writing(place) as opened:
    np.savez(opened, **arrays)
