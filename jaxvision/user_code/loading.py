"""Imports user-defined code under unique module names.

The modules of a bundle are named jaxvision_own_KEY.my_model and so on. They are
imported from memory, so the code that runs is the code that was checked. Their
imports of modules beside them become imports from the same bundle, also inside
functions. This module implements the finder and the loader of Python's import
system.
"""

import ast
import difflib
import functools
import importlib
import importlib.machinery
import inspect
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from jaxvision.user_code import bundle as bundles
from jaxvision.user_code import locating, reference
from jaxvision.user_code.bundle import Bundle

_PREFIX = "jaxvision_own_"
# The bundles of all loaded configs, by key.
_REGISTERED: dict[str, Bundle] = {}


def register(bundle: Bundle) -> str:
  """Makes a bundle importable; returns its source, such as "my_model@KEY"."""
  _REGISTERED.setdefault(bundle.key, bundle)
  this = sys.modules[__name__]
  if this not in sys.meta_path:
    sys.meta_path.append(this)
  return f"{bundle.stem}@{bundle.key}"


def registered() -> dict[str, Bundle]:
  """All bundles of this process, by key."""
  return dict(_REGISTERED)


def load_module(bundle: Bundle) -> types.ModuleType:
  """Runs the file of a bundle, once per process, and returns its module."""
  register(bundle)
  names = bundles.modules(bundle.files)
  inside = next(n for n, path in names.items() if path == bundle.entry)
  return importlib.import_module(f"{_PREFIX}{bundle.key}.{inside}")


def function(name: str, *, kind: str) -> Callable[..., Any]:
  """The function that a reference names.

  Args:
    name: "my_model@KEY:create", as `resolve` writes it into a config; or
      "my_model.py:create", as a user writes it in a program.
    kind: the kind of function, for messages: "model", or "data.kind".

  Raises:
    FileNotFoundError: the file or module does not exist.
    ValueError: the module does not define this function.
  """
  source, _, inner = name.rpartition(":")
  key = reference.key_of(source)
  if key is None:
    source, inner = reference.split(name)
    bundle = locating.find(source, folders=[pathlib.Path.cwd()], kind=kind)
  elif key in _REGISTERED:
    bundle = _REGISTERED[key]
  else:
    raise ValueError(
      f"{kind} {name!r} belongs to another process; write FILE.py:FUNCTION"
    )
  module = load_module(bundle)
  found = vars(module).get(inner)
  if not _is_defined_in(found, module):
    raise ValueError(_refusal(found, module, bundle, inner, kind))
  return found


def _is_defined_in(value: Any, module: types.ModuleType) -> bool:
  """Whether a value is a function or a Linen module defined in this file."""
  if isinstance(value, type):
    # Tested by name, because data workers do not import flax.
    is_linen = any(b.__module__.startswith("flax.linen") for b in value.__mro__)
    return is_linen and value.__module__ == module.__name__
  inner = inspect.unwrap(value) if callable(value) else value
  return isinstance(inner, types.FunctionType) and (
    inner.__globals__ is vars(module)
  )


def _refusal(
  found: Any, module: types.ModuleType, bundle: Bundle, name: str, kind: str
) -> str:
  where = f"{kind} {bundle.written + ':' + name!r}"
  if found is not None:
    home = getattr(found, "__module__", None) or type(found).__module__
    return (
      f"{where}: {bundle.written} does not define {name!r} as a function: it "
      f"is {type(found).__name__} of {home}; write a function, def "
      f"{name}(...), in that file"
    )
  known = [
    key for key, each in vars(module).items() if _is_defined_in(each, module)
  ]
  matches = ", ".join(
    map(repr, difflib.get_close_matches(name, known, cutoff=0.5))
  )
  question = f"; did you mean {matches}?" if matches else ""
  return (
    f"{where}: {bundle.written} has no function {name!r}; it has "
    f"{', '.join(known) or 'none'}{question}"
  )


def find_spec(
  name: str, path: Any = None, target: Any = None
) -> importlib.machinery.ModuleSpec | None:
  """Finder interface: the spec of a module of a bundle, or None."""
  del path, target
  found = _find(name)
  if found is None:
    return None
  bundle, relative, is_package = found
  this = sys.modules[__name__]
  spec = importlib.machinery.ModuleSpec(name, this, is_package=is_package)
  if relative:
    spec.origin = str(pathlib.Path(bundle.place, relative))
  return spec


def create_module(spec: importlib.machinery.ModuleSpec) -> None:
  """Loader interface: None, so that Python creates the module."""
  del spec


def exec_module(module: types.ModuleType) -> None:
  """Loader interface: runs the file of a module."""
  bundle, relative, _ = _find(module.__name__)
  if relative is None:  # the bundle's root, or a folder without __init__.py
    return
  place = pathlib.Path(bundle.place, relative)
  tree = bundles.parse(bundle.files[relative], place)
  _rename_imports(tree, bundle)
  module.__file__ = str(pathlib.Path(bundle.origin, relative))
  exec(compile(tree, str(place), "exec", dont_inherit=True), vars(module))


def get_source(name: str) -> str | None:
  """Loader interface: the source code that tracebacks show."""
  bundle, relative, _ = _find(name)
  return relative and bundle.files[relative].decode("utf-8", "replace")


def _find(name: str) -> tuple[Bundle, str | None, bool] | None:
  """The bundle of a module, its file there, and whether it is a package."""
  top, _, inside = name.partition(".")
  bundle = _REGISTERED.get(top.removeprefix(_PREFIX))
  if bundle is None or not top.startswith(_PREFIX):
    return None
  names = bundles.modules(bundle.files)
  is_package = not inside or any(
    each.startswith(f"{inside}.") for each in names
  )
  path = names.get(inside)
  if path is None and not is_package:
    return None
  is_package |= bool(path) and path.endswith("/__init__.py")
  return bundle, path, is_package


def _rename_imports(tree: ast.Module, bundle: Bundle) -> None:
  """Changes imports of modules beside a file to imports from its bundle."""
  package = f"{_PREFIX}{bundle.key}"
  tops = {each.split(".")[0] for each in bundles.modules(bundle.files)}
  tops -= {*sys.stdlib_module_names, "jaxvision"}
  rename = functools.partial(_renamed, package=package, tops=tops)
  for node in ast.walk(tree):
    for _, value in ast.iter_fields(node):
      if isinstance(value, list):
        value[:] = [new for each in value for new in rename(each)]


def _renamed(node: Any, *, package: str, tops: set[str]) -> Iterator[Any]:
  if isinstance(node, ast.ImportFrom) and not node.level:
    inside = node.module.split(".")[0] in tops
    node.module = f"{package}.{node.module}" if inside else node.module
  if not isinstance(node, ast.Import):
    yield node
    return
  for each in node.names:
    top = each.name.split(".")[0]
    if top not in tops:
      new = [ast.Import([each])]
    elif each.asname:
      new = [ast.Import([ast.alias(f"{package}.{each.name}", each.asname)])]
    else:
      new = [ast.ImportFrom(package, [ast.alias(top)], 0)]
      if top != each.name:  # import a.b: binds a, and imports a.b
        name = ast.alias(f"{package}.{each.name}", "_")
        new = [ast.Import([name]), *new]
    yield from (
      ast.fix_missing_locations(ast.copy_location(n, node)) for n in new
    )
