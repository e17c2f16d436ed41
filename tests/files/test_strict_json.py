"""All JSON that leaves the process is strict: null is no finite number.

`json.dumps` writes NaN and Infinity, which no other reader takes; so all goes
through `files`, and what does not is said here with its reason.
"""

import ast
import json
import math
import pathlib

import numpy as np
import processes
import pytest

from jaxvision import files, training
from jaxvision.runs import metrics_log
from jaxvision.training.loop import train_loop

_ROOT = pathlib.Path(training.__file__).parent
# By file: why its text is read by nobody else, or can hold no such number.
_ALLOWED = {
  "analysis/trials.py": "a key of a dict",
  "data/label_files.py": "words of an error",
  "data_record.py": "a digest; counts and names",
  "files.py": "the writer",
  "plan/recollection.py": "a digest",
  "processes/exchange.py": "from process to process, which read it by json",
  "processes/roll_call.py": "from process to process, which read it by json",
  "seals.py": "a digest",
  "sweep/again.py": "a key of a dict",
  "trials/objective.py": "a key of a dict",
  "weights/notes.py": "names and options of a model",
  "weights/safetensors.py": "names, types and offsets",
  "workdir.py": "a digest",
}


def _dumps(path):
  """Whether a file calls json.dump or json.dumps."""
  return any(
    isinstance(node, ast.Attribute)
    and node.attr in ("dump", "dumps")
    and isinstance(node.value, ast.Name)
    and node.value.id == "json"
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
  )


def test_nothing_else_writes_json():
  found = {
    path.relative_to(_ROOT).as_posix()
    for path in _ROOT.rglob("*.py")
    if _dumps(path)
  }
  assert found <= _ALLOWED.keys()


def _strict(text):
  def refuse(name):
    raise AssertionError(f"{name} in {text[:200]}")

  return json.loads(text, parse_constant=refuse)


@pytest.fixture
def run(tmp_path):
  """The folder of a run whose last evaluation is not finite."""
  rng = np.random.default_rng(0)
  np.savez(
    tmp_path / "noise.npz",
    images=rng.integers(0, 256, (32, 4, 4, 1)).astype(np.uint8),
    labels=np.arange(32) % 4,
  )
  overrides = {
    "model.options": {"hidden": (8,)},
    "data.kind": "npz",
    "data.name": str(tmp_path / "noise.npz"),
    "data.train": "train[:16]",
    "data.validation": "train[16:]",
    "data.test": "",
    "data.device_transforms": (),
    "optimizer.name": "sgd",
    "optimizer.options": {},
    "optimizer.learning_rate": 3e37,
    "schedule.warmup": "0 steps",
    "train.batch_size": 16,
    "train.steps_per_dispatch": 1,
    "train.duration": "1 steps",
    "log.tensorboard": False,
  }
  with pytest.raises(train_loop.Diverged):
    training.train(
      processes.recipe("digits.py:mlp"),
      workdir=tmp_path / "run",
      overrides=overrides,
    )
  return tmp_path / "run"


def test_a_run_writes_strict_json(run):
  texts = [path.read_text("utf-8") for path in run.glob("*.json")]
  lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
  found = [_strict(text) for text in (*texts, *lines)]
  assert len(texts) >= 3
  nulls = [k for line in found[len(texts) :] for k in line if line[k] is None]
  assert "validation/loss" in nulls
  # Whoever reads them here gets NaN.
  last = metrics_log.read_metrics(run)[-1]
  assert math.isnan(last["validation/loss"])


@pytest.mark.parametrize(
  "value", [math.nan, math.inf, -math.inf, np.float64("nan")]
)
def test_the_writer_is_strict_at_any_depth(value):
  found = _strict(files.to_json({"a": [{"b": (1.5, value)}], "c": value}))
  assert found == {"a": [{"b": [1.5, None]}], "c": None}
