"""Folders of unfinished runs are read; only the config is required."""

import json
import subprocess
import sys

import fake_runs
import ml_collections
import numpy as np
import pytest

from jaxvision.runs import reading


@pytest.fixture
def workdir(tmp_path):
  fake_runs.write_json(
    tmp_path / "config.json",
    {"recipe": "r.py", "overrides": {"seed": 1}, "config": {"seed": 1}},
  )
  return tmp_path


def _lines(workdir, text):
  (workdir / "metrics.jsonl").write_text(text)
  return reading.read_run(workdir)


def test_complete_run_has_no_problems(tmp_path):
  run = reading.read_run(fake_runs.write_run(tmp_path / "run"))
  assert run.problems == ()
  assert run.recipe == "configs/digits.py:linear"
  assert run.evaluation["confusion"].sum() == 360
  assert len(run.environment) == 2


def test_incomplete_lines_are_skipped_and_counted(workdir):
  run = _lines(
    workdir,
    '{"step": 1, "a": 1.0}\n{"step": 2, "tra{"step": 2, "a": 2.0}\n'
    '{"step": 3, "a": 3.0}\n{"step": 4, "a"',
  )
  assert [line["step"] for line in run.lines] == [1, 3]
  assert any(
    problem.startswith("2 incomplete lines") for problem in run.problems
  )


def test_an_incomplete_character_is_an_incomplete_line(workdir):
  (workdir / "metrics.jsonl").write_bytes(b'{"step": 1}\n{"step": 2, "\xc3')
  assert len(reading.read_run(workdir).lines) == 1


def test_steps_written_twice_count_once_and_the_last_time(workdir):
  run = _lines(
    workdir,
    '{"step": 2, "a": 5}\n{"step": 4, "a": 6}\n{"step": 4, "a": 7}\n'
    '{"step": 3, "a": null}\n{"step": 1, "b": NaN}\n',
  )
  steps, values = reading.series(run, "a")
  np.testing.assert_array_equal(steps, [2, 3, 4])
  np.testing.assert_array_equal(values, [5, np.nan, 7])
  assert np.isnan(reading.series(run, "b")[1]).all()
  assert reading.series(run, "c")[0].size == 0


def test_steps_per_epoch(workdir):
  run = _lines(workdir, '{"step": 0, "epoch": 0}\n{"step": 30, "epoch": 2.5}\n')
  assert reading.steps_per_epoch(run) == 12
  assert reading.steps_per_epoch(_lines(workdir, '{"step": 3}\n')) is None


def test_reasons_follow_the_status(workdir):
  assert "unfinished or was killed" in " ".join(_lines(workdir, "").problems)
  fake_runs.write_json(
    workdir / "result.json",
    {"status": "preempted: SIGTERM at step 5", "total_steps": 9},
  )
  problems = " ".join(reading.read_run(workdir).problems)
  assert "the run ended early" in problems
  fake_runs.write_json(workdir / "result.json", {"status": "running"})
  problems = " ".join(reading.read_run(workdir).problems)
  assert "unfinished or was killed" in problems


@pytest.mark.parametrize(
  "damage", [b"", b"PK\x03\x04 torn", b"no archive", "confusion only"]
)
def test_damaged_arrays_are_a_problem_not_an_error(workdir, damage):
  path = workdir / "evaluation.npz"
  if damage == "confusion only":
    np.savez(path, confusion=np.eye(2))
  else:
    path.write_bytes(damage)
  run = reading.read_run(workdir)
  assert run.evaluation == {}
  assert any("evaluation.npz is damaged" in p for p in run.problems)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_damaged_records_are_a_problem_not_an_error(workdir, content):
  (workdir / "result.json").write_text(content)
  run = reading.read_run(workdir)
  assert run.result == {}
  assert any(p.startswith("result.json ") for p in run.problems)


def test_a_missing_run_is_explained(tmp_path):
  with pytest.raises(FileNotFoundError, match="no such folder"):
    reading.read_run(tmp_path / "missing")
  with pytest.raises(FileNotFoundError, match="jaxvision train --workdir"):
    reading.read_run(tmp_path)
  for name in ("b", "a"):
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text("{}")
  with pytest.raises(FileNotFoundError, match="pass one of them: a, b"):
    reading.read_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[1]", "{}", '{"config": 3}'])
def test_damaged_config_is_an_error(tmp_path, content):
  (tmp_path / "config.json").write_text(content)
  with pytest.raises(ValueError, match=r"config\.json is damaged"):
    reading.read_run(tmp_path)


def test_class_names_fall_back_to_indices(tmp_path):
  workdir = fake_runs.write_run(tmp_path / "run", names=("too", "few"))
  run = reading.read_run(workdir)
  assert reading.class_names(run) == tuple("0123456789")


def test_compare_configs_finds_differences_only():
  a = ml_collections.ConfigDict(
    {
      "seed": 1,
      "data": {"mean": (0.5,), "crop": ((1, 2),)},
      "model": {"name": "vit", "options": {}},
    }
  )
  b = json.loads(a.to_json())
  assert reading.compare_configs(a, b) == []
  b["model"]["options"] = {"width": 4}
  b["data"]["mean"] = [0.5, 0.4]
  del b["seed"]
  assert reading.compare_configs(a, b) == [
    ("data.mean", [0.5], [0.5, 0.4]),
    ("model.options.width", reading.ABSENT, 4),
    ("seed", 1, reading.ABSENT),
  ]


def test_none_and_absent_differ():
  differences = reading.compare_configs({"a": None}, {})
  assert differences == [("a", None, reading.ABSENT)]


def test_importing_the_report_does_not_import_jax():
  code = (
    "import sys, jaxvision.report\n"
    "print({'jax', 'matplotlib.figure'} & set(sys.modules))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "set()"


def _write_explanations(workdir, count, problem=""):
  maps = np.zeros((count, 8, 8, 3), np.uint8)
  np.savez(
    workdir / "explanations.npz",
    method="gradcam",
    predicted=maps,
    true=maps,
    limit="",
    problem=problem,
  )


def test_heat_maps_of_mistakes_are_optional(tmp_path):
  workdir = fake_runs.write_run(tmp_path / "run")
  assert reading.read_run(workdir).explanations == {}
  assert not any("heat map" in p for p in reading.read_run(workdir).problems)
  _write_explanations(workdir, 2)
  run = reading.read_run(workdir)
  assert len(run.explanations["true"]) == 2
  assert not any("heat map" in p for p in run.problems)


def test_heat_maps_that_failed_or_do_not_fit_are_a_problem(tmp_path):
  workdir = fake_runs.write_run(tmp_path / "run")
  _write_explanations(workdir, 0, problem="no memory")
  problems = reading.read_run(workdir).problems
  assert "No heat maps of mistakes: no memory." in problems
  _write_explanations(workdir, 999)
  run = reading.read_run(workdir)
  assert run.explanations == {}
  assert any("has 999, and evaluation.npz has" in p for p in run.problems)
  (workdir / "explanations.npz").write_bytes(b"PK")
  run = reading.read_run(workdir)
  assert any("explanations.npz is damaged" in p for p in run.problems)
  assert reading.damaged_arrays(workdir) == ["explanations.npz"]
