"""The rules of the house, as functions that list violations.

Each takes the folder of a package and returns sentences, one per violation, so
that a test can insert a violation into a copy. Files are read by `ast`. Imports
inside functions are included.
"""

import ast
import functools
import pathlib
import sys
from collections.abc import Iterator

Path = pathlib.Path

# From the ground up. A room is a folder or a file at the root, and imports only
# from lower floors. `__init__` and `__main__` stand outside: they are the
# entries of the package.
FLOORS = (
  ("files", "metrics"),
  ("processes", "user_code", "xla"),
  ("downloads", "lookup", "variables"),
  ("config", "data", "genotypes", "layers", "schedules", "trees"),
  (
    *("checkpoint", "interpret", "losses", "models", "optimizers"),
    *("parallel", "runs"),
  ),
  ("evaluation", "report", "summary", "tasks", "weights"),
  ("training",),
  ("inference", "launch", "plan", "sweeps"),
  ("cli",),
)
# The same inside rooms that have rooms of their own.
INSIDE = {
  "data": (
    ("dataset", "decoding"),
    ("transforms",),
    ("batches",),
    ("formats",),
    ("sources",),
    ("inspection", "preparation"),
  ),
  "sweeps": (
    ("search",),
    ("experiment",),
    ("study",),
    ("workers",),
    ("stages", "vectorized"),
  ),
  "training": (("step",), ("setup",), ("loop",), ("fit", "preview"), ("run",)),
  "evaluation": (
    ("captions", "evaluator", "imagenet9", "low_data", "network"),
    ("backgrounds", "probes"),
    ("challenge", "distances", "explanations"),
    ("suites",),
  ),
  "weights": (
    (
      *("class_names", "formats", "grids", "layout", "notes", "published"),
      *("resize", "wrappers"),
    ),
    ("addresses", "families", "image_preprocessing", "placement"),
    ("origins", "recognition"),
    ("inspection", "opened", "run_folder", "saving"),
    ("filling", "implied_preprocessing"),
    ("loading",),
  ),
}
# Folders of things of one kind, which do not know of each other; beside them,
# the files that all of them may import.
INTERCHANGEABLE = {
  "models": (),
  "tasks": (
    *("agreement_pages", "contract", "generated_images", "supervised"),
    "teachers",
  ),
  "evaluation/probes": ("checks",),
  "weights/families": (),
}
ONLY_IN = {
  "orbax": {"checkpoint"},
  "huggingface_hub": {"downloads"},
  "matplotlib": {"report"},
  "mlflow": {"runs"},
  "optuna": {"sweeps"},
  "optax": {"losses", "optimizers", "sweeps", "training"},
  "requests": {"downloads"},
  "rich": {"cli", "processes", "sweeps"},
  "tensorflow": set(),
  "torch": set(),
  "wandb": {"runs"},
}
MOST_ROOT_FILES = 10
MOST_FLOORS = 9
MOST_ARROWS = 150


# The same text is parsed once, also in copies of the house.
_parsed = functools.cache(ast.parse)


@functools.cache
def _imports(text: str) -> list[ast.Import | ast.ImportFrom]:
  return [
    node
    for node in ast.walk(_parsed(text))
    if isinstance(node, ast.Import | ast.ImportFrom)
  ]


def parse(path: Path) -> ast.Module:
  return _parsed(path.read_text("utf-8"))


def modules(root: Path) -> list[Path]:
  found = sorted(root.rglob("*.py"))
  assert found, f"no code under {root}"
  return found


def parts(path: Path, root: Path) -> tuple[str, ...]:
  """("data", "sources", "tfds") of a file; a door has the name of its room."""
  names = path.relative_to(root).with_suffix("").parts
  return names[:-1] if names[-1] == "__init__" and len(names) > 1 else names


def is_module(dotted: tuple[str, ...], root: Path) -> bool:
  path = root.joinpath(*dotted)
  return path.is_dir() or path.with_suffix(".py").exists()


def imports(path: Path, root: Path) -> Iterator[tuple[str, ...]]:
  """The modules of jaxvision that a file imports, as ("data", "sources")."""
  for name in all_imports(path, root):
    first, *rest = name.split(".")
    if first == root.name and rest[:1] not in ([], ["configs"]):
      yield tuple(rest)


def all_imports(path: Path, root: Path) -> Iterator[str]:
  for node in _imports(path.read_text("utf-8")):
    if isinstance(node, ast.Import):
      yield from (each.name for each in node.names)
    else:
      assert not node.level, f"{path}: relative imports hide who is imported"
      for each in node.names:
        inside = (*node.module.split("."), each.name)
        own = inside[0] == root.name and is_module(inside[1:], root)
        yield ".".join(inside) if own else node.module


def _floor(name: str, floors: tuple[tuple[str, ...], ...]) -> int | None:
  return next((i for i, names in enumerate(floors) if name in names), None)


def arrows(root: Path) -> dict[tuple[str, str], list[Path]]:
  """{(room, room that it imports): files}."""
  found: dict[tuple[str, str], list[Path]] = {}
  for path in modules(root):
    room = parts(path, root)[0]
    if room in ("__init__", "__main__"):
      continue
    for other in imports(path, root):
      if other[0] != room:
        found.setdefault((room, other[0]), []).append(path)
  return found


def upward(root: Path) -> list[str]:
  """Imports from the same floor or a higher one, and rooms without a floor."""
  wrong = []
  for (room, other), paths in arrows(root).items():
    floors = _floor(room, FLOORS), _floor(other, FLOORS)
    if None in floors:
      wrong.append(f"{room} or {other} stands on no floor")
    elif floors[1] >= floors[0]:
      wrong += [f"{parts(p, root)} imports {other}" for p in paths]
  return wrong


def upward_inside(root: Path) -> list[str]:
  """The same inside rooms with rooms of their own."""
  wrong = []
  for room, floors in INSIDE.items():
    for path in modules(root / room):
      own = parts(path, root)
      if len(own) == 1:
        continue
      for other in imports(path, root):
        if other[0] != room or len(other) == 1 or other[1] == own[1]:
          continue
        here, there = _floor(own[1], floors), _floor(other[1], floors)
        if here is None or there is None:
          wrong.append(f"{own} or {other} stands on no floor of {room}")
        elif there >= here:
          wrong.append(f"{own} imports {other}")
  return wrong


def circles(root: Path) -> list[str]:
  """Files that import each other."""
  graph = {}
  for path in modules(root):
    own = parts(path, root)
    graph[own] = {
      other
      for other in imports(path, root)
      # A door lists its files, which may import each other through it.
      if other != own and other[: len(own)] != own
    }
  wrong, done = [], set()

  def visit(node, stack):
    if node in stack:
      wrong.append(" -> ".join(map(".".join, (*stack, node))))
    elif node not in done:
      for other in sorted(graph.get(node, ())):
        # A file may import its neighbours by the name of their room.
        if other != node[: len(other)]:
          visit(other, (*stack, node))
      done.add(node)

  for node in sorted(graph):
    visit(node, ())
  return wrong


def beside_the_door(root: Path) -> list[str]:
  """Imports of names that are not in the `__all__` of a room's door."""
  wrong = []
  for path in modules(root):
    own = parts(path, root)
    for other in imports(path, root):
      for depth in range(1, len(other)):
        room = other[:depth]
        if own[:depth] == room:
          continue
        if other[depth] not in _listed(root.joinpath(*room, "__init__.py")):
          wrong.append(f"{own} reaches inside: {'.'.join(other)}")
  return wrong


def _listed(door: Path) -> list[str]:
  if not door.exists():
    return []
  return [
    element.value
    for node in parse(door).body
    if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    for element in node.value.elts
  ]


def without_door(root: Path) -> list[str]:
  """Folders without an `__init__.py` that has a docstring."""
  folders = {path.parent for path in modules(root)}
  return [
    f"{folder.relative_to(root.parent)} has no door with a docstring"
    for folder in sorted(folders)
    if not (folder / "__init__.py").exists()
    or not ast.get_docstring(parse(folder / "__init__.py"))
  ]


def interchangeable(root: Path) -> list[str]:
  """Imports between things of one kind."""
  wrong = []
  for folder, shared in INTERCHANGEABLE.items():
    room = tuple(folder.split("/"))
    for path in sorted((root / folder).glob("*.py")):
      own = parts(path, root)
      for other in imports(path, root):
        inside = other[: len(room)] == room and len(other) > len(room)
        if path.stem == "__init__" or not inside or path.stem in _JOINING:
          continue
        if other[len(room)] not in shared:
          wrong.append(f"{own} imports {'.'.join(other)}")
  return wrong


# Files that join things of one kind, as their door would.
_JOINING = ("probe",)


def libraries(root: Path) -> list[str]:
  """Libraries that are imported outside the rooms that may use them."""
  wrong = []
  for path in modules(root):
    room = parts(path, root)[0]
    for name in all_imports(path, root):
      rooms = ONLY_IN.get(name.split(".")[0])
      if rooms is not None and room not in rooms:
        wrong.append(f"{parts(path, root)} imports {name}")
  return wrong


# Where configs are read: in the setup of a training, and by the commands that
# print them, change them, plan or repeat runs. `runs` keeps their JSON, which
# `report` shows.
READS_CONFIGS = (
  *(("config",), ("cli",), ("plan",), ("sweeps",), ("inference",)),
  *(("runs",), ("report",)),
  *(
    ("training", "setup"),
    ("training", "fit"),
    ("training", "run"),
    ("training", "preview"),
  ),
)


def takes_configs(root: Path, *, anywhere: bool = False) -> list[str]:
  """Functions below the setup, in the step or in the loop that take a config.

  A config is a parameter of this name, or one that is annotated so; `.config`
  of an object is one, too. `anywhere` lists more files that may take configs.
  """
  wrong = []
  for path in modules(root):
    own = parts(path, root)
    allowed = any(own[: len(room)] == room for room in READS_CONFIGS)
    if allowed and not anywhere:
      continue
    for node in ast.walk(parse(path)):
      if isinstance(node, ast.arg):
        note = ast.unparse(node.annotation) if node.annotation else ""
        if node.arg == "config" or "ConfigDict" in note:
          wrong.append(f"{own}:{node.lineno} takes {node.arg}")
      elif isinstance(node, ast.Attribute) and node.attr == "config":
        read = ast.unparse(node)
        wrong += [f"{own}:{node.lineno} reads {read}"] * (read != "jax.config")
  return wrong


def without_mirror(root: Path, tests: Path) -> list[str]:
  """Folders of tests that mirror no room."""
  beside = {"configs", "docs", "experiments", "golden", "kept", "parity"}
  beside |= {"real"}
  return [
    f"{path.relative_to(tests)} mirrors no room"
    for path in sorted(tests.rglob("test_*.py"))
    if path.parent != tests
    and path.relative_to(tests).parts[0] not in beside
    and not (root / path.parent.relative_to(tests)).is_dir()
  ]


MOST_LINES = 300
LONG_FUNCTION = 40  # lines of code, without the docstring
MANY_ARGUMENTS = 6


def measures(root: Path) -> dict[str, int]:
  """The sizes of a package: python tests/house.py [FOLDER]."""
  paths = modules(root)
  functions = [
    node
    for path in paths
    for node in ast.walk(parse(path))
    if isinstance(node, ast.FunctionDef)
  ]
  lines = [len(path.read_text("utf-8").splitlines()) for path in paths]
  return {
    "files": len(paths),
    "files at the root": len(list(root.glob("*.py"))),
    "rooms": len({parts(path, root)[0] for path in paths}),
    "floors": _longest_chain(root),
    "arrows between rooms": len(arrows(root)),
    f"files above {MOST_LINES} lines": sum(n > MOST_LINES for n in lines),
    f"functions above {LONG_FUNCTION} lines": sum(
      _code_lines(node) > LONG_FUNCTION for node in functions
    ),
    f"functions above {MANY_ARGUMENTS} arguments": sum(
      len(node.args.args) + len(node.args.kwonlyargs) > MANY_ARGUMENTS
      for node in functions
    ),
    "rooms whose functions take a config": len(
      {line.split("'")[1] for line in takes_configs(root, anywhere=True)}
    ),
  }


def _code_lines(node: ast.FunctionDef) -> int:
  """Lines from the signature to the end, without the docstring."""
  first = node.body[0]
  documented = ast.get_docstring(node) is not None
  text = first.end_lineno - first.lineno + 1 if documented else 0
  return node.end_lineno - node.lineno + 1 - text


def _longest_chain(root: Path) -> int:
  """Number of rooms in the longest chain of imports, the required floors."""
  below: dict[str, set[str]] = {}
  for room, other in arrows(root):
    below.setdefault(room, set()).add(other)

  @functools.cache
  def height(room: str) -> int:
    return 1 + max((height(each) for each in below.get(room, ())), default=0)

  return max(map(height, below))


if __name__ == "__main__":
  _ROOT = Path(__file__).parents[1] / "jaxvision"
  for _name, _value in measures(Path((sys.argv[1:] or [_ROOT])[0])).items():
    print(f"{_value:6d}  {_name}")
