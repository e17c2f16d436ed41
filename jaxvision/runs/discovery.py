"""The runs and the sweeps below a folder, and their names.

A run has a config.json, a sweep has a sweep.json. Nothing is searched inside of
them. The folder of a search contains sweeps. Hidden folders and links are not
followed.
"""

import os
import pathlib
from collections.abc import Iterator, Sequence

Path = pathlib.Path


def find(folders: Sequence[str | Path]) -> dict[str, Path]:
  """The runs and sweeps in folders, by name and in the order of the names.

  The name is the path below the given folder. If there are several folders, it
  begins with the given folder. A folder that is itself a run or a sweep has its
  own name. A folder that disappears contains nothing.
  """
  found, known = {}, set()
  for folder in map(Path, folders):
    for path in _below(folder):
      real = os.path.realpath(path)
      if real not in known:
        known.add(real)
        found[_name(path, folder, several=len(folders) > 1)] = path
  return dict(sorted(found.items()))


def trials(workdir: Path) -> list[Path]:
  """The folders of the trials of a sweep, by number."""
  try:
    with os.scandir(workdir / "trials") as entries:
      return sorted(Path(each.path) for each in entries if each.is_dir())
  except OSError:  # it has no trial yet, or disappears
    return []


def _below(folder: Path) -> Iterator[Path]:
  for path, inside, names in os.walk(folder):
    if "config.json" in names or "sweep.json" in names:
      inside.clear()
      yield Path(path)
    inside[:] = [name for name in inside if not name.startswith(".")]


def _name(path: Path, folder: Path, *, several: bool) -> str:
  if several:
    return str(path)
  inside = path.relative_to(folder)
  return str(inside) if inside.parts else path.resolve().name
