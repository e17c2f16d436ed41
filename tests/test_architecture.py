"""The rule of the house: who may import whom.

Modules stand on floors and import only from lower ones, and through the doors
of folders. Every import counts, also those inside functions.
"""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "jaxvision"

# From the ground up; a folder stands with all its files. Exceptions for parts
# of a folder come as paths of their own.
FLOORS = (
  ("addresses", "files", "fingerprint", "ranges", "seals"),
  (
    "locks",
    "options",
    "orbax_notes",
    "paths",
    "records",
    "spreadsheets",
    "suffixes",
  ),
  ("parameters",),
  (
    "accelerators",
    "download",
    "durations",
    "loops",
    "pace",
    "processes",
    "profiling",
    "published",
    "scores",
    "screen",
    "spelling",
    "startup",
    "tracking",
  ),
  ("user_code",),
  (
    "accumulation",
    "call_syntax",
    "recipes",
    "fetch",
    "grouping",
  ),
  ("class_names", "keys"),
  (
    "activations",
    "config",
    "flops",
    "initializers",
    "labelled",
    "metrics",
    "schedules",
    "trees",
  ),
  (
    "layers",
    "precision",
    "losses",
    "optimizers",
    "distributed",
    "analysis",
    "data",
  ),
  ("changes", "freezing", "sharding"),
  (
    "checkpoint",
    "data_record",
    "export",
    "models",
    "preprocessing",
    "sweep",
    "workdir",
  ),
  ("train_step", "features"),
  ("depths", "frozen_features", "tasks", "tables"),
  ("evaluation", "remat"),
  ("application", "checks", "probes"),
  ("assembly",),
  (
    "dispatch",
    "evaluators",
    "extension",
    "inference",
    "preview",
    "sanity",
    "train_loop",
  ),
  ("results", "weights"),
  ("pretrained", "start"),
  ("claims",),
  ("plan", "training"),
  ("launch", "trials"),
  ("commands",),
  ("__init__", "cli"),
  ("__main__",),
)
# Inside folders whose files build on each other.
INSIDE = {
  # The record and its sources below what makes batches of them.
  "data": (
    (
      "avif",
      "dataset",
      "finding",
      "formats",
      "labels",
      "names",
      "order",
      "refusal",
      "tiff",
      "unreadable",
    ),
    ("npz", "orientation", "threads", "workers"),
    ("image_files", "jpeg", "pixels", "webp"),
    (
      "extents",
      "index_file",
      "label_files",
      "pillow",
      "png",
      "tar_groups",
    ),
    ("profiles",),
    ("prepared", "resizing", "splits", "tf_example"),
    (
      "archives",
      "in_memory",
      "integrity",
      "pairs",
      "recipe",
      "tar_shards",
      "tfrecords",
    ),
    ("decoding", "host_transforms", "device_transforms", "datasets"),
    ("encoding", "examples", "inspection", "survey"),
    ("diagnosis", "filling", "identity", "shards"),
    ("pipeline",),
    ("building",),
    ("preparing",),
    ("__init__",),
  ),
  "layers": (
    ("depthwise", "fusion", "layer_norm", "normalization"),
    ("batch_norm", "group_norm"),
    ("pooling", "positions", "products", "repeated"),
    ("drop_path", "linear", "norms", "patch_embedding", "standardized"),
    ("cells", "hybrid_stem", "squeeze_excite", "transformer"),
    ("__init__",),
  ),
  "launch": (
    ("engine", "job", "worker_shell"),
    ("checkout",),
    ("local", "ray", "slurm", "tpu"),
    ("__init__",),
  ),
  "processes": (
    ("endings", "exchange", "roll_call", "signals", "stopping"),
    ("cluster",),
    ("__init__",),
  ),
  "user_code": (
    ("bundle", "reference"),
    ("consent", "locating"),
    ("copies", "loading"),
    ("resolving",),
    ("__init__",),
  ),
  "trials": (
    ("lifting", "objective"),
    ("shared_programs",),
    ("stacked",),
    ("ending",),
    ("together",),
    ("running",),
    ("__init__",),
  ),
}
# Folders of things of one kind, which must not know of each other.
INTERCHANGEABLE = (
  "models",
  "tasks",
  "evaluation",
  "data/datasets",
  "data/preparing",
)
ONLY_IN = {
  "orbax": {"checkpoint"},
  "huggingface_hub": {"fetch"},
  "matplotlib": {"analysis"},
  "optuna": {"sweep"},
  "optax": {"losses", "schedules", "optimizers", "train_step", "tasks"},
  "requests": {"download"},
  "tensorflow": set(),
  "torch": set(),
}
# Workers and laptops start these fast.
WITHOUT_JAX = (
  "jaxvision",
  "jaxvision.analysis",
  "jaxvision.class_names",
  "jaxvision.cli",
  "jaxvision.config",
  "jaxvision.data",
  "jaxvision.data.datasets",
  "jaxvision.data.host_transforms",
  "jaxvision.launch",
  "jaxvision.published",
  "jaxvision.sweep",
  "jaxvision.tracking",
  "jaxvision.user_code",
  "jaxvision.workdir",
)


def _files() -> list[pathlib.Path]:
  files = sorted(ROOT.rglob("*.py"))
  assert len(files) > 20, f"no code under {ROOT}"
  return files


def _imports(path: pathlib.Path) -> set[str]:
  """Dotted names of all modules a file imports, "jaxvision.models.vit"."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text("utf-8"))):
    if isinstance(node, ast.Import):
      found |= {name.name for name in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f"{path}: relative imports hide who is imported"
      for name in node.names:
        inside = f"{node.module}.{name.name}"
        found.add(inside if _is_module(inside) else node.module)
  return found


def _is_module(dotted: str) -> bool:
  path = ROOT.parent.joinpath(*dotted.split("."))
  return path.is_dir() or path.with_suffix(".py").exists()


def _own_imports(path: pathlib.Path) -> list[tuple[str, ...]]:
  """("models", "vit") for each import of our own modules."""
  return [
    tuple(name.split("."))[1:] or ("__init__",)
    for name in _imports(path)
    # Recipes lie in configs/ and are installed beside, not inside, the house.
    if name.split(".")[0] == "jaxvision" and "configs" not in name
  ]


def _parts(path: pathlib.Path) -> tuple[str, ...]:
  return path.relative_to(ROOT).with_suffix("").parts


def _floor(name: str, floors: tuple[tuple[str, ...], ...]) -> int:
  found = [i for i, names in enumerate(floors) if name in names]
  assert found, f"{name} stands on no floor; give it one in {__file__}"
  return found[0]


@pytest.mark.parametrize("path", _files(), ids=lambda p: "/".join(_parts(p)))
def test_imports_only_from_lower_floors(path):
  parts = _parts(path)
  own = _floor(parts[0], FLOORS)
  for other in _own_imports(path):
    if other[0] == parts[0] and len(parts) > 1:
      continue
    # The package itself is only a lazy list of names.
    assert _floor(other[0], FLOORS) < own, f"{parts} imports {other}"


@pytest.mark.parametrize("folder", INSIDE)
def test_imports_in_folders_only_from_lower_floors(folder):
  for path in sorted((ROOT / folder).glob("*.py")):
    own = _floor(path.stem, INSIDE[folder])
    for other in _own_imports(path):
      if other[0] == folder and len(other) > 1:
        floor = _floor(other[1], INSIDE[folder])
        assert floor < own, f"{folder}/{path.stem} imports {other}"


def test_every_name_on_a_floor_exists():
  for name in sum(FLOORS, ()):
    assert _is_module(f"jaxvision.{name}"), name
  for folder, floors in INSIDE.items():
    for name in sum(floors, ()):
      assert _is_module(f"jaxvision.{folder}.{name}"), f"{folder}/{name}"


@pytest.mark.parametrize("folder", INTERCHANGEABLE)
def test_interchangeable_things_do_not_know_each_other(folder):
  depth = len(folder.split("/"))
  files = [p for p in (ROOT / folder).glob("*.py") if p.stem != "__init__"]
  assert files
  for path in files:
    for other in _own_imports(path):
      inside = other[:depth] == tuple(folder.split("/"))
      assert not inside, f"{path.name} imports {'.'.join(other)}"


@pytest.mark.parametrize("path", _files(), ids=lambda p: "/".join(_parts(p)))
def test_folders_are_entered_through_their_doors(path):
  parts = _parts(path)
  for other in _own_imports(path):
    if len(other) > 1 and other[0] != parts[0]:
      door = ast.parse((ROOT / other[0] / "__init__.py").read_text("utf-8"))
      public = [
        element.value
        for node in door.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
        for element in node.value.elts
      ]
      assert other[1] in public, f"{parts} reaches inside: {'.'.join(other)}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_where_they_belong(library):
  users = {
    _parts(path)[0]
    for path in _files()
    if any(name.split(".")[0] == library for name in _imports(path))
  }
  assert users <= ONLY_IN[library]
  assert users or not ONLY_IN[library], f"nobody imports {library}"


@pytest.mark.parametrize("module", WITHOUT_JAX)
def test_starts_without_jax(module):
  code = (
    f"import sys, {module}; "
    "print([m for m in ('jax', 'tensorflow', 'torch') if m in sys.modules])"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "[]"
