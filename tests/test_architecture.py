"""The rules of the house hold, and each detects an inserted violation."""

import pathlib
import shutil
import subprocess
import sys

import house
import pytest

ROOT = pathlib.Path(__file__).parents[1] / "jaxvision"
# These must start fast.
WITHOUT_JAX = (
  "jaxvision",
  "jaxvision.cli",
  "jaxvision.config",
  "jaxvision.data",
  "jaxvision.data.sources",
  "jaxvision.data.transforms.host",
  "jaxvision.genotypes",
  "jaxvision.launch",
  "jaxvision.metrics.text",
  "jaxvision.report",
  "jaxvision.runs.metrics_log",
  "jaxvision.runs.workdir",
  "jaxvision.sweeps",
  "jaxvision.user_code",
  "jaxvision.weights.class_names",
  "jaxvision.weights.published",
)
RULES = (
  house.upward,
  house.upward_inside,
  house.circles,
  house.beside_the_door,
  house.without_door,
  house.interchangeable,
  house.libraries,
  house.takes_configs,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule):
  assert rule(ROOT) == []


def test_the_root_is_small():
  files = list(ROOT.glob("*.py"))
  assert len(files) <= house.MOST_ROOT_FILES
  assert len(house.FLOORS) <= house.MOST_FLOORS
  assert len(house.arrows(ROOT)) <= house.MOST_ARROWS


def test_every_room_on_a_floor_exists():
  for name in sum(house.FLOORS, ()):
    assert house.is_module((name,), ROOT), name
  for room, floors in house.INSIDE.items():
    for name in sum(floors, ()):
      assert house.is_module((room, name), ROOT), f"{room}/{name}"
  for library, rooms in house.ONLY_IN.items():
    users = {
      house.parts(path, ROOT)[0]
      for path in house.modules(ROOT)
      if any(
        name.split(".")[0] == library for name in house.all_imports(path, ROOT)
      )
    }
    assert users == rooms, library


def test_the_tests_mirror_the_house():
  assert house.without_mirror(ROOT, ROOT.parent / "tests") == []


@pytest.mark.parametrize(
  ("rule", "file", "text"),
  [
    ("upward", "losses/supervised.py", "from jaxvision import training"),
    (
      "upward",
      "losses/supervised.py",
      "def f():\n  from jaxvision import models",
    ),
    ("upward", "unplaced.py", "from jaxvision import files"),
    (
      "upward_inside",
      "data/decoding/jpeg.py",
      "from jaxvision.data import sources",
    ),
    ("circles", "files/escaping.py", "from jaxvision.files import strict_json"),
    ("beside_the_door", "cli/train.py", "from jaxvision.files import atomic"),
    ("without_door", "models/new/file.py", ""),
    ("interchangeable", "models/vit.py", "from jaxvision.models import resnet"),
    ("libraries", "models/vit.py", "import optax"),
    ("libraries", "data/sources/tfds.py", "def f():\n  import tensorflow"),
    ("takes_configs", "training/loop/train_loop.py", "def f(config): pass"),
    ("takes_configs", "losses/supervised.py", "def f(a: ConfigDict): pass"),
    ("takes_configs", "training/step/forward.py", "def f(a): return a.config"),
  ],
)
def test_an_inserted_violation_is_detected(rule, file, text, tmp_path):
  root = tmp_path / "jaxvision"
  shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
  before = getattr(house, rule)(root)
  path = root / file
  path.parent.mkdir(exist_ok=True)
  old = path.read_text("utf-8") if path.exists() else ""
  path.write_text(f"{old}\n{text}\n", "utf-8")
  assert len(getattr(house, rule)(root)) > len(before)


def test_a_test_without_a_room_is_detected(tmp_path):
  (tmp_path / "nowhere").mkdir()
  (tmp_path / "nowhere" / "test_it.py").write_text("")
  assert house.without_mirror(ROOT, tmp_path)


@pytest.mark.matrix(every=3)
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
