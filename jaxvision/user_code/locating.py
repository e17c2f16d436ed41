"""Finds the file that a reference to own code means."""

import importlib.machinery
import importlib.util
import pathlib
import sys
from collections.abc import Sequence

from jaxvision import files
from jaxvision.user_code import bundle as bundles
from jaxvision.user_code.bundle import Bundle

Path = pathlib.Path


def find(source: str, *, folders: Sequence[Path], kind: str) -> Bundle:
  """Reads the code that a source names.

  Args:
    source: a path that ends with ".py", or the dotted name of a module.
    folders: that relative paths may start in; one where the file is, is enough.
    kind: what it is for, in messages.

  Raises:
    FileNotFoundError: no such file or module.
    ValueError: relative to two folders it means different code; or the module
      is none of the user's own.
  """
  if not source.endswith(".py"):
    return _find_module(source, kind)
  path = Path(source).expanduser()
  candidates = dict.fromkeys((each / path).absolute() for each in folders)
  there = [each for each in candidates if each.exists()]
  if not there:
    listed = " nor ".join(files.printable(each) for each in candidates)
    raise FileNotFoundError(
      f"{kind}: no file {listed}; write its whole path, or give the command in "
      "the folder that it is in"
    )
  found = [
    bundles.gather(source, origin=each.parent, entry=each.name)
    for each in there
  ]
  if len({each.digest for each in found}) > 1:
    listed = " and ".join(files.printable(each) for each in there)
    raise ValueError(
      f"{kind}: {source!r} may mean {listed}, which differ; write the whole "
      "path"
    )
  return found[0]


def _find_module(name: str, kind: str) -> Bundle:
  top, *inner = name.split(".")
  if top in sys.stdlib_module_names or top == "jaxvision":
    owner = "jaxvision" if top == "jaxvision" else "Python"
    raise ValueError(
      f"{kind}: {name!r} is a module of {owner}, not of yours; write a "
      'function in a file of your own, and name it as in "my_data.py:load"'
    )
  # Finding what is not nested imports nothing.
  spec = importlib.util.find_spec(top)
  path = _path_of(spec, inner)
  if path is None:
    raise FileNotFoundError(
      f"{kind}: cannot import {name!r}: there is no such module of Python "
      'files; give the path of a file, as in "my_data.py:load", or install the '
      "package"
    )
  depth = len(inner) + (path.name == "__init__.py")
  origin = path.parents[depth]
  entry = path.relative_to(origin).as_posix()
  return bundles.gather(name, origin=origin, entry=entry)


def _path_of(
  spec: importlib.machinery.ModuleSpec | None, inner: Sequence[str]
) -> Path | None:
  """The file of a module inside a top-level one."""
  if spec is None:
    return None
  if not inner and spec.origin and spec.origin.endswith(".py"):
    return Path(spec.origin).absolute()
  for folder in spec.submodule_search_locations or ():
    path = Path(folder, *inner).absolute()
    for each in (path.with_name(path.name + ".py"), path / "__init__.py"):
      if inner and each.is_file():
        return each
  return None
