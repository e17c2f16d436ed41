"""A user-defined Python file and the modules beside it that it imports.

The import statements of each file are read, not executed. A named module is
included if it is beside the file: NAME.py, the imported files of a folder NAME,
or all of NAME if it is a package (it has an __init__.py). A name that Python or
an installed package provides is not included. Names computed at run time
(`importlib.import_module(text)`) and files that are not Python are not detected
and not copied.
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
  """User-defined code: the content of its files.

  Attributes:
    written: the name that the user has written: "my_model.py", or
      "package.module".
    entry: relative path of the named file: "my_model.py".
    origin: the folder that the files were first read from. `__file__` of the
      modules is in this folder, so that they find other files there.
    place: the folder that the content was read from: the origin, or a copy.
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
    """16 hex digits that identify the content and its written name."""
    text = f"{self.digest}\n{self.written}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  @property
  def stem(self) -> str:
    """A short name: "my_model", "package.module"."""
    if self.written.endswith(".py"):
      return Path(self.entry).stem
    return self.written


def gather(written: str, *, origin: Path, entry: str) -> Bundle:
  """Reads a file and the modules beside it that it imports.

  Args:
    written: see `Bundle`.
    origin: the folder that the entry is relative to.
    entry: the file. If it is in a package, the complete package is read.

  Raises:
    OSError: a file cannot be read.
    ValueError: a file is not Python, or there are too many files.
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
    ValueError: the file is not Python; the message names the line.
  """
  try:
    return ast.parse(source, str(path))
  except (SyntaxError, ValueError, RecursionError) as error:
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
    raise ValueError(
      f"{files.printable(path)}{line} is not valid Python: "
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
      f"{written} includes more than {_MOST_FILES} files or "
      f"{_MOST_BYTES >> 20} MiB of code, which would be copied into each run; "
      "move the function into a small file that imports the package"
    )


def _imported(origin: Path, path: str, tree: ast.Module) -> list[str]:
  """The files beside a file that it imports."""
  return [
    file
    for parts in _import_paths(path, tree)
    for file in _files_of(origin, parts)
  ]


def _import_paths(path: str, tree: ast.Module) -> Iterator[tuple[str, ...]]:
  """("package", "module") of each name that a file imports."""
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
  """Whether Python or an installed package provides a module of this name."""
  if name in sys.stdlib_module_names or name == "jaxvision":
    return True
  own = {os.path.realpath(origin), os.path.realpath(os.getcwd())}
  others = [
    each for each in sys.path if each and os.path.realpath(each) not in own
  ]
  spec = importlib.machinery.PathFinder.find_spec(name, others)
  return spec is not None and spec.origin is not None
