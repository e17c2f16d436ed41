"""A file of the user's own with the modules beside it that it imports.

Of each file the import statements are read, not run. What they name is taken
along if it lies beside the file: NAME.py, the files of a folder NAME that are
imported, or all of NAME where that is a package (it has an __init__.py). What
Python or an installed package has under this name is not. Names that a program
makes up (`importlib.import_module(text)`) and files that are no Python are not
seen, and stay where they are.
"""

import ast
import dataclasses
import hashlib
import importlib.machinery
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping

from jaxvision import files

Path = pathlib.Path

_MOST_FILES = 1000
_MOST_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Bundle:
  """Code of the user's own.

  Attributes:
    written: as the user names it: "my_model.py", or "package.module".
    entry: the file that is meant, relative: "my_model.py".
    origin: the folder that it was read from first; `__file__` of the modules
      lies there, so that they find what is beside them.
    place: the folder that the content is from: the origin, or a copy.
    files: content by relative path, with "/".
  """

  written: str
  entry: str
  origin: str
  place: str
  files: Mapping[str, bytes]

  @property
  def digest(self) -> str:
    """SHA-256 of the names and contents, in hex."""
    lines = [f"{self.entry}\n"]
    for path in sorted(self.files):
      lines.append(f"{hashlib.sha256(self.files[path]).hexdigest()} {path}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()

  @property
  def key(self) -> str:
    """16 hex digits for what is written and what it is."""
    text = f"{self.digest}\n{self.written}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  @property
  def stem(self) -> str:
    """A short name: "my_model", "package.module"."""
    if self.written.endswith(".py"):
      return Path(self.entry).stem
    return self.written


def gather(written: str, *, origin: Path, entry: str) -> Bundle:
  """Reads a file and what it imports from beside it.

  Args:
    written: see `Bundle`.
    origin: the folder that the entry is relative to.
    entry: the file; if it lies in a package, all of that is taken.

  Raises:
    OSError: a file cannot be read.
    ValueError: a file is no Python, or there are too many.
  """
  found: dict[str, bytes] = {}
  waiting = [entry]
  if "/" in entry:
    waiting += _package(origin, entry.split("/")[0])
  while waiting:
    path = waiting.pop()
    if path in found:
      continue
    found[path] = files.read_bytes(origin / path, limit=_MOST_BYTES)
    _check_size(written, found)
    waiting += _imported(origin, path, parse(found[path], origin / path))
  return Bundle(written, entry, str(origin), str(origin), found)


def parse(source: bytes, path: str | Path) -> ast.Module:
  """The syntax tree of a file.

  Raises:
    ValueError: it is no Python; says in which line.
  """
  try:
    return ast.parse(source, str(path))
  except (SyntaxError, ValueError, RecursionError) as error:
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
    raise ValueError(
      f"{files.printable(path)}{line} is no Python: "
      f"{getattr(error, 'msg', error)}; correct the file"
    ) from error


def modules(paths: Mapping[str, bytes]) -> dict[str, str]:
  """Dotted name -> relative path of the modules in a bundle."""
  return {
    ".".join(each.replace(".", "_") for each in _parts(path)): path
    for path in paths
  }


def _parts(path: str) -> list[str]:
  parts = path.removesuffix(".py").split("/")
  return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def _check_size(written: str, found: Mapping[str, bytes]) -> None:
  size = sum(map(len, found.values()))
  if len(found) > _MOST_FILES or size > _MOST_BYTES:
    raise ValueError(
      f"{written} comes with more than {_MOST_FILES} files or "
      f"{_MOST_BYTES >> 20} MiB of code, which are copied into each run; put "
      "the function into a small file of your own that imports the package"
    )


def _imported(origin: Path, path: str, tree: ast.Module) -> list[str]:
  """The files beside it that a file imports."""
  return [
    file
    for parts in _import_paths(path, tree)
    for file in _files_of(origin, parts)
  ]


def _import_paths(path: str, tree: ast.Module) -> Iterator[tuple[str, ...]]:
  """("package", "module") of each name that a file may import."""
  folder = path.split("/")[:-1]
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (tuple(each.name.split(".")) for each in node.names)
    elif isinstance(node, ast.ImportFrom):
      base = node.module.split(".") if node.module else []
      if node.level:
        base = folder[: len(folder) + 1 - node.level] + base
      yield from ((*base, each.name) for each in node.names)


def _files_of(origin: Path, parts: tuple[str, ...]) -> Iterator[str]:
  if is_elsewhere(parts[0], origin):
    return
  if (origin / parts[0] / "__init__.py").is_file():
    yield from _package(origin, parts[0])
  for depth in range(1, len(parts) + 1):
    path = "/".join(parts[:depth]) + ".py"
    if (origin / path).is_file():
      yield path


def _package(origin: Path, name: str) -> Iterator[str]:
  for folder, inner, names in os.walk(origin / name):
    inner[:] = sorted(each for each in inner if each.isidentifier())
    for each in sorted(names):
      if each.endswith(".py"):
        yield Path(folder, each).relative_to(origin).as_posix()


def is_elsewhere(name: str, origin: Path) -> bool:
  """Whether Python, or an installed package, has a module of this name."""
  if name in sys.stdlib_module_names or name == "jaxvision":
    return True
  own = {os.path.realpath(origin), os.path.realpath(os.getcwd())}
  others = [
    each for each in sys.path if each and os.path.realpath(each) not in own
  ]
  spec = importlib.machinery.PathFinder.find_spec(name, others)
  return spec is not None and spec.origin is not None
