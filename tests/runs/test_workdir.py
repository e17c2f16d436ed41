"""Tests of jaxvision.runs.workdir: one folder, one config, atomic writes."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import jaxvision
from jaxvision.runs import workdir

CONFIG = {
  "seed": 0,
  "data": {"mean": (0.5,), "data_dir": None},
  "optimizer": {"learning_rate": 0.1, "learning_rate_rules": ((".*", 1.0),)},
}


def _claim(folder, config=CONFIG, *, overfit=0, **overrides):
  return workdir.claim(
    folder,
    config=config,
    recipe="configs/digits.py:mlp",
    overrides=overrides,
    overfit=overfit,
  )


def _contents(folder):
  files = (path for path in folder.rglob("*") if path.is_file())
  return {path: path.read_bytes() for path in files}


def test_a_new_folder_is_made_with_its_parents(tmp_path):
  folder = _claim(tmp_path / "a" / "b", seed=1)
  assert workdir.read_config(folder) == {
    "recipe": "configs/digits.py:mlp",
    "overrides": {"seed": 1},
    "overfit": 0,
    "config": json.loads(json.dumps(CONFIG)),
  }


def test_the_same_config_finds_its_folder_again(tmp_path):
  _claim(tmp_path)
  before = _contents(tmp_path)
  lists = {**CONFIG, "data": {"mean": [0.5], "data_dir": None}}
  assert _claim(tmp_path, lists) == tmp_path
  assert _contents(tmp_path) == before


def test_another_config_is_refused_with_the_differences(tmp_path):
  _claim(tmp_path)
  before = _contents(tmp_path)
  other = {**CONFIG, "seed": 3, "data": {"mean": (0.4,), "data_dir": None}}
  with pytest.raises(ValueError, match="another config") as caught:
    _claim(tmp_path, other)
  lines = str(caught.value).splitlines()
  assert lines[0] == f"{tmp_path} belongs to a run of another config:"
  assert lines[1:3] == [
    "  data.mean: [0.5] there, [0.4] here",
    "  seed: 0 there, 3 here",
  ]
  assert len(lines) == 4
  assert "--workdir" in lines[3]
  assert _contents(tmp_path) == before


def test_overfitting_other_examples_is_another_run(tmp_path):
  _claim(tmp_path, overfit=100)
  with pytest.raises(ValueError, match="--overfit: 100 there, 200 here"):
    _claim(tmp_path, overfit=200)


def test_checkpoints_without_a_config_are_left_alone(tmp_path):
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(ValueError, match="use another workdir"):
    _claim(tmp_path)
  assert not (tmp_path / "config.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("in the way")
  with pytest.raises(OSError, match=r"cannot write the workdir .*--workdir"):
    _claim(tmp_path / "file" / "run")


def test_the_error_of_a_locked_folder_names_the_process(tmp_path):
  folder = tmp_path / "run"
  with workdir.held(folder):
    message = (
      rf"{folder} is in use by process {os.getpid()} on .* since 2.*--work"
    )
    with pytest.raises(ValueError, match=message), workdir.held(folder):
      pass
  with workdir.held(folder):
    pass


def test_a_lock_does_not_stop_the_process_that_owns_the_run(tmp_path, caplog):
  with workdir.held(tmp_path), workdir.held(tmp_path, claimed=True):
    assert "continuing" in caplog.text


def test_a_held_folder_that_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("in the way")
  with (
    pytest.raises(OSError, match=r"cannot write the workdir .*--workdir"),
    workdir.held(tmp_path / "file"),
  ):
    pass


def test_a_run_in_an_archive_is_not_locked(tmp_path):
  _claim(tmp_path)
  (tmp_path / "lock").mkdir()  # root may write everywhere else
  with workdir.held(tmp_path):
    pass


def test_a_folder_that_is_no_run(tmp_path):
  with pytest.raises(FileNotFoundError, match="is not a run: it has no config"):
    workdir.read_config(tmp_path)


def test_each_start_adds_an_environment(tmp_path):
  for step in (0, 40):
    workdir.add_environment(
      tmp_path, step=step, devices="8 x cpu", backend="cpu"
    )
  starts = json.loads((tmp_path / "environment.json").read_text("utf-8"))
  assert [start["step"] for start in starts] == [0, 40]
  for name in ("started", "command", "python", "jax", "optax", "hostname"):
    assert starts[0][name]
  assert starts[0]["devices"] == "8 x cpu"


def test_a_result_is_read_back(tmp_path):
  assert workdir.read_result(tmp_path) == {}
  workdir.write_result(tmp_path, {"status": "finished", "step": 3})
  assert workdir.read_result(tmp_path) == {"status": "finished", "step": 3}


def test_arrays_are_written_atomically(tmp_path):
  path = tmp_path / "arrays.npz"
  workdir.write_arrays(path, name="conv1", filters=np.eye(3))
  before = path.read_bytes()
  with np.load(path) as found:
    assert str(found["name"]) == "conv1"
    np.testing.assert_array_equal(found["filters"], np.eye(3))

  class Broken:
    def __array__(self, *_, **__):
      raise OSError("No space left on device")

  with pytest.raises(OSError, match="No space"):
    workdir.write_arrays(path, filters=np.eye(9), broken=Broken())
  assert path.read_bytes() == before


def test_a_run_began_at_its_first_start(tmp_path):
  before = time.time()
  for step, ago in ((0, 100.0), (7, 0.0)):
    workdir.add_environment(
      tmp_path, step=step, devices="", backend="", ago=ago
    )
    # The file has integer seconds.
    assert before - 101 <= workdir.began(tmp_path) <= time.time() - 100
  path = tmp_path / "environment.json"
  starts = json.loads(path.read_text())
  starts[0]["started"] = "2026-03-02T09:14:07+00:00"
  path.write_text(json.dumps(starts))
  assert workdir.began(tmp_path) == 1772442847


def test_the_digest_ignores_keys_of_the_machine():
  digest = workdir.digest(CONFIG)
  lists = json.loads(json.dumps(CONFIG))
  elsewhere = {**CONFIG, "data": {"mean": (0.5,), "data_dir": "/data"}}
  other = {**CONFIG, "data": {"mean": (0.4,), "data_dir": None}}
  assert len(digest) == 16
  assert workdir.digest(lists) == workdir.digest(elsewhere) == digest
  assert workdir.digest(other) != digest


def test_the_code_is_known_by_the_files_of_every_room(tmp_path):
  package = tmp_path / "jaxvision"
  shutil.copytree(
    pathlib.Path(jaxvision.__file__).parent,
    package,
    ignore=shutil.ignore_patterns("__pycache__"),
  )

  def code():
    program = "from jaxvision.runs import workdir; print(workdir.code())"
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, cwd=tmp_path, text=True)

  first = code()
  assert first == code()
  changed = {first}
  for path in (package / "schedules.py", package / "models" / "vit.py"):
    path.write_text(path.read_text() + "\n")
    changed.add(code())
  assert len(changed) == 3
