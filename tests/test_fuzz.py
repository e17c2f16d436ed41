"""Hundreds of damaged files and odd configs: they are refused or read.

The tests assert for each command: no crash, no hang, no traceback, bounded
memory, and errors that name the file. The seeds are fixed, so that failures can
be reproduced.
"""

import io
import json
import pathlib
import shutil
import subprocess
import sys

import fake_runs
import fake_sweeps
import fuzzed_commands
import mutations
import numpy as np
import pytest
import tiny_runs
import torch_files
import written_sources
from PIL import Image

from jaxvision import config as configs
from jaxvision.weights.formats import files as weight_files

pytestmark = pytest.mark.slow

_CODES = (0, 1, 2, 3)
_SHOWN, _EXCERPT = 8, 1500  # problems, and characters of each
_KILOBYTES = 1 << 20  # that one command may add to the largest memory so far


def _run(cases):
  """Runs [(words, names)] in a child; each error must contain a name."""
  done = subprocess.run(
    [sys.executable, fuzzed_commands.__file__],
    input=json.dumps([words for words, _ in cases]),
    capture_output=True,
    text=True,
    timeout=fuzzed_commands.SECONDS * 20,
  )
  lines = [json.loads(line) for line in done.stdout.splitlines()]
  begun = [line["begins"] for line in lines if "begins" in line]
  ended = [line for line in lines if "code" in line]
  assert len(ended) == len(cases), (
    f"{cases[begun[-1]] if begun else 'nothing'} ended the process with "
    f"{done.returncode}: {done.stderr[-2000:]}"
  )
  problems = [
    f"{words}: {problem}"
    for (words, names), found in zip(cases, ended, strict=True)
    if (problem := _problem(found, names))
  ]
  assert not problems, f"{len(problems)} of {len(cases)}:\n" + "\n".join(
    problems[:_SHOWN]
  )
  assert "Traceback" not in done.stderr, done.stderr
  return ended


def _problem(found, names):
  """The problem with the end of a command; "" if there is none."""
  text = found["output"]
  if found["raised"]:
    return found["raised"][-_EXCERPT:]
  if found["code"] not in _CODES or "Traceback" in text:
    return f"code {found['code']}: {text[-_EXCERPT:]}"
  if found["kilobytes"] >= _KILOBYTES:
    return f"{found['kilobytes']:,} KiB more than before"
  if found["code"] and names and not any(name in text for name in names):
    return f"does not name the file: {text[-_EXCERPT:]}"
  return ""


def _encoded(kind, mode, rng):
  shape = (12, 10) if mode == "L" else (12, 10, 3)
  image = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
  written = io.BytesIO()
  image.save(written, kind)
  return written.getvalue()


_KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")


@pytest.mark.parametrize("kind", _KINDS)
def test_images(kind, tmp_path):
  rng = np.random.default_rng(_KINDS.index(kind))
  cases = []
  for number in range(4):
    folder = tmp_path / f"{kind}-{number}"
    for label in ("a", "b"):
      (folder / "train" / label).mkdir(parents=True)
      good = _encoded("PNG", "RGB", rng)
      (folder / "train" / label / "good.png").write_bytes(good)
    for each in range(60):
      content = _encoded(kind, "L" if each % 3 == 0 else "RGB", rng)
      # The name does not have to match the content.
      suffix = (kind.lower(), "jpg", "png")[each % 3].replace("jpeg", "jpg")
      path = folder / "train" / "a" / f"{each}.{suffix}"
      path.write_bytes(mutations.damaged(content, rng))
    inspect = ["data", "inspect", str(folder)]
    cases.append(([*inspect, "--sheet", str(folder / "sheet.png")], []))
    cases.append((["data", "doctor", str(folder), "--all"], ["errors in"]))
  ended = _run(cases)
  assert all(found["code"] == 0 for found in ended[::2])


def test_tars(tmp_path):
  rng = np.random.default_rng(1)
  cases = []
  for number in range(60):
    folder = tmp_path / f"tars-{number}"
    folder.mkdir()
    written_sources.tars(folder)
    paths = sorted(folder.rglob("*.tar"))
    path = paths[rng.integers(len(paths))]
    path.write_bytes(mutations.damaged(path.read_bytes(), rng))
    place = str(path.parent)
    words = ["data", "inspect", place, "--sheet", str(folder / "sheet.png")]
    cases.append((words, [path.name, place]))
  _run(cases)


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_records(kind, tmp_path):
  rng = np.random.default_rng(2)
  cases = []
  for number in range(40):
    folder = tmp_path / f"{kind}-{number}"
    folder.mkdir()
    written_sources.tfds(folder, kind)
    paths = sorted(each for each in folder.rglob("*") if each.is_file())
    path = paths[rng.integers(len(paths))]
    path.write_bytes(mutations.damaged(path.read_bytes(), rng))
    words = ["data", "inspect", "zoo", "--data_dir", str(folder)]
    words += ["--sheet", str(folder / "sheet.png")]
    cases.append((words, [path.name, str(path.parent)]))
  _run(cases)


def test_arrays_of_images(tmp_path):
  rng = np.random.default_rng(3)
  good = tiny_runs.write_data(tmp_path).read_bytes()
  cases = []
  for number in range(60):
    path = tmp_path / f"data-{number}.npz"
    path.write_bytes(mutations.damaged(good, rng))
    words = ["data", "inspect", str(path)]
    cases.append(([*words, "--sheet", str(tmp_path / "s.png")], [path.name]))
  _run(cases)


_FORMS = {"pth": "zip", "pt": "legacy"}


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pth", "pt"])
def test_weights(suffix, tmp_path):
  rng = np.random.default_rng(4)
  good = tmp_path / f"good.{suffix}"
  arrays = {
    f"layer{i}.{name}": rng.normal(size=shape).astype(np.float32)
    for i in range(3)
    for name, shape in (("weight", (4, 3)), ("bias", (4,)))
  }
  if suffix == "npz":
    np.savez(good, **arrays)
  elif suffix in _FORMS:
    good.write_bytes(torch_files.saved(arrays, form=_FORMS[suffix]))
  else:
    weight_files.write(good, arrays)
  cases = []
  for number in range(150):
    path = tmp_path / f"{number}.{suffix}"
    path.write_bytes(mutations.damaged(good.read_bytes(), rng))
    cases.append((["weights", "inspect", str(path)], [path.name]))
  _run(cases)


_JSON = (
  *(b"", b"[]", b"{}", b"null", b"3", b'"x"', b"[null]", b"{", b"\xff\xfe"),
  *(b'{"config": 3}', b"[" * 100_000, b"NaN", b'{"step": "x"}\n', b"1e999"),
)


def _damaged_text(content, rng):
  if rng.random() < 0.5:
    return _JSON[rng.integers(len(_JSON))]
  return mutations.damaged(content, rng)


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_folders_that_a_report_reads(kind, tmp_path):
  rng = np.random.default_rng(5)
  good = tmp_path / "good"
  if kind == "run":
    fake_runs.write_run(good)
  else:
    settings = [{"optimizer.learning_rate": rate} for rate in (0.1, 0.2, 0.3)]
    fake_sweeps.write(
      good, [{"settings": each, "value": 0.5} for each in settings]
    )
  cases = []
  for number in range(80):
    folder = tmp_path / f"{kind}-{number}"
    path = _copy_with_damage(good, folder, rng)
    names = [path.name, str(path.parent)]
    cases.append((["report", str(folder)], names))
  _run(cases)


def test_folders_that_a_run_goes_on_with(tmp_path):
  rng = np.random.default_rng(6)
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  train = ["train", "--config", str(tmp_path / "recipe.py")]
  train += ["--config.log.tensorboard=false", "--workdir"]
  good = tmp_path / "good"
  (first,) = _run([([*train, str(good)], [])])
  assert first["code"] == 0
  cases = []
  for number in range(20):
    folder = tmp_path / f"run-{number}"
    _copy_with_damage(good, folder, rng)
    evaluate = ["evaluate", "--workdir", str(folder), "--split", "validation"]
    cases.append((evaluate, [str(folder)]))
    cases.append(([*train, str(folder)], [str(folder)]))
    cases.append((["report", str(folder)], [str(folder)]))
  _run(cases)


def _copy_with_damage(good, folder, rng) -> pathlib.Path:
  """Copies a folder, damages one file, and returns the path of the copy."""
  shutil.copytree(good, folder)
  paths = sorted(each for each in folder.rglob("*") if each.is_file())
  path = paths[rng.integers(len(paths))]
  path.write_bytes(_damaged_text(path.read_bytes(), rng))
  return path


_VALUES = (
  *("-1", "0", "0.5", "1e400", "-1e400", "nan", "None", "true", "False", "''"),
  *("()", "(3,)", "('x',)", "((1, 2),)", "{}", "{'x': 1}", "[1, 2]", "1,5"),
  *(
    "x",
    "x(",
    "f(1)",
    "((",
    "1e400 steps",
    "-3 epochs",
    "5 lightyears",
    "\x1b",
  ),
)
# Some values of these keys are valid, and would make a run long or large.
_LEFT_OUT = ("train.duration", "data.workers")


def test_configs(tmp_path):
  rng = np.random.default_rng(7)
  tiny_runs.write_data(tmp_path)
  config = tiny_runs.load_config(tmp_path)
  keys = [
    *(key for key in configs.flatten(config.to_dict()) if key not in _LEFT_OUT),
    *("optimizer.options.momentum", "optimizer.options.nesterov"),
    *("loss.options.label_smoothing", "schedule.options.final_fraction"),
    *("model.options.dropout", "model.options.activation"),
  ]
  cases = []
  for number in range(150):
    words = ["train", "--config", str(tmp_path / "recipe.py")]
    words += ["--config.log.tensorboard=false", "--workdir"]
    words.append(str(tmp_path / f"run-{number}"))
    key = keys[rng.integers(len(keys))]
    value = _VALUES[rng.integers(len(_VALUES))]
    cases.append(([*words, f"--config.{key}={value}"], []))
  _run(cases)
