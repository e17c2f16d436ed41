"""Tests of jaxvision.files.strict_json: a number that is not finite is null.

`json.dumps` writes NaN and Infinity, which other readers refuse. Therefore all
JSON files are written by `files`; the exceptions are listed with a reason.
"""

import ast
import json
import math
import os
import pathlib

import numpy as np
import pytest
import spawned

import jaxvision
from jaxvision import files, training
from jaxvision.runs import metrics_log
from jaxvision.training.loop import train_loop

_ROOT = pathlib.Path(jaxvision.__file__).parent
# By file: the reason why no other program reads its text, or why the text can
# hold no such number.
_ALLOWED = {
  "data/sources/label_files.py": "words of an error",
  "data/sources/webdataset.py": "labels in memory, which are read by json",
  "files/seals.py": "a digest",
  "files/strict_json.py": "the writer",
  "plan/cache.py": "a digest",
  "processes/agreement.py": "from process to process, which read it by json",
  "processes/rendezvous.py": "from process to process, which read it by json",
  "report/charts.py": "for the script of the page; NaN is an error there, too",
  "runs/search_folder.py": "a key of a dict",
  "runs/sweep_folder.py": "a key of a dict",
  "runs/workdir.py": "a digest",
  "sweeps/stages/children.py": "a key of a dict",
  "sweeps/vectorized/objective.py": "a key of a dict",
  "sweeps/workers/rerun.py": "a key of a dict",
  "tasks/captioning/vocabularies.py": "words",
  "training/setup/data_record.py": "a digest; counts and names",
  "weights/notes.py": "names and options of a model",
  "weights/formats/safetensors.py": "names, types and offsets",
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
  assert found
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
      spawned.recipe("digits.py:mlp"),
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
  # This package reads null as NaN.
  last = metrics_log.read_metrics(run)[-1]
  assert math.isnan(last["validation/loss"])


@pytest.mark.parametrize(
  "value", [math.nan, math.inf, -math.inf, np.float64("nan")]
)
def test_the_writer_is_strict_at_any_depth(value):
  found = _strict(files.to_json({"a": [{"b": (1.5, value)}], "c": value}))
  assert found == {"a": [{"b": [1.5, None]}], "c": None}


def test_json_is_strict():
  value = {
    "a": math.nan,
    "b": [math.inf, 1.5, (-math.inf, True)],
    "c": "é",
  }

  def refuse(constant):
    raise AssertionError(constant)

  text = files.to_json(value)
  assert json.loads(text, parse_constant=refuse) == {
    "a": None,
    "b": [None, 1.5, [None, True]],
    "c": "é",
  }
  assert "é" in text


def test_names_that_are_not_unicode_are_restored_from_json(tmp_path):
  name = os.fsdecode(b"caf\xe9/\xff.png")
  path = tmp_path / "a.json"
  files.write_json(path, {name: [name]})
  path.read_bytes().decode("utf-8")
  assert files.read_json(path) == {name: [name]}


@pytest.mark.parametrize(
  ("content", "words"),
  [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b'{"a": ', "not JSON"),
    (b"null", "contains null"),
    (b"[]", r"contains \[\]"),
    (b"3", "contains 3"),
    (b'"text"', 'contains "text"'),
    (b"\xff\xfe{\x00", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"\0" * 30, "not JSON"),
  ],
)
def test_damaged_json_is_named(tmp_path, content, words):
  path = tmp_path / "a\x1b.json"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=words) as caught:
    files.read_json(path, remedy="remove it")
  assert str(caught.value).startswith(f"{tmp_path}/a\\x1b.json is damaged: it ")
  assert str(caught.value).endswith("expected an object {...}; remove it")
  assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
  "name", ["\x1b[2J", "\x7f\x9b", "\u202e", "\ufeff\u2028"]
)
def test_json_on_a_terminal_has_no_control_character(name):
  text = files.to_json({name: [f"é{name}"]})
  assert files.printable(text) == text
  assert "é" in text
  assert json.loads(text) == {name: [f"é{name}"]}
