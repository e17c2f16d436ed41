"""The search for the file that a reference to user-defined code names."""

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
    folders: the folders that a relative path may start in; the file must be in
      at least one of them.
    kind: the purpose of the code, for messages.

  Raises:
    FileNotFoundError: the file or module does not exist.
    ValueError: a relative path names different code in two folders, or the
      module is not a user's module.
  """
  if not source.endswith(".py"):
    return _find_module(source, kind)
  path = Path(source).expanduser()
  candidates = dict.fromkeys((each / path).absolute() for each in folders)
  there = [each for each in candidates if each.exists()]
  if not there:
    listed = " nor ".join(files.printable(each) for each in candidates)
    raise FileNotFoundError(
      f"{kind}: no file {listed}; write the full path, or start the command in "
      "the folder of the file"
    )
  found = [
    bundles.gather(source, origin=each.parent, entry=each.name)
    for each in there
  ]
  if len({each.digest for each in found}) > 1:
    listed = " and ".join(files.printable(each) for each in there)
    raise ValueError(
      f"{kind}: {source!r} may mean {listed}, which differ; write the full path"
    )
  return found[0]


def _find_module(name: str, kind: str) -> Bundle:
  top, *inner = name.split(".")
  if top in sys.stdlib_module_names or top == "jaxvision":
    owner = "jaxvision" if top == "jaxvision" else "Python"
    raise ValueError(
      f"{kind}: {name!r} is a module of {owner}, not your own; write a "
      'function in your own file, and name it as in "my_data.py:load"'
    )
  # find_spec of a top-level name does not import it.
  spec = importlib.util.find_spec(top)
  path = _path_of(spec, inner)
  if path is None:
    raise FileNotFoundError(
      f"{kind}: cannot import {name!r}: no Python module of this name was "
      'found; give the path of a file, as in "my_data.py:load", or install the '
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
