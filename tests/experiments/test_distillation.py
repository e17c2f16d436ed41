"""Hinton's experiment and the benchmark of distillation: what they compute."""

import dataclasses

import experiment_scripts
import numpy as np
import pytest

from jaxvision import config as configs
from jaxvision import losses


@pytest.fixture(scope="module")
def experiment():
  return experiment_scripts.load("distillation.py")


@pytest.fixture(scope="module")
def benchmark():
  return experiment_scripts.load("benchmarks/distillation.py")


def _row(**changes):
  row = {"teacher": 70, "labels": 150, "taught": 80, "few hard": 700}
  row |= {"few soft": 300, "before": 200, "after": 110, "bias": 3.0}
  return {**row, "threes": 0.985, "threes before": 0.85, **changes}


def _verdicts(experiment, rows):
  lines = experiment.table(rows).splitlines()[2:]
  cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
  return {name: (mean, verdict) for name, _, mean, _, verdict in cells}


def test_the_verdicts_follow_the_written_rules(experiment):
  found = _verdicts(experiment, [_row(), _row(taught=82)])
  assert found["errors, teacher"] == ("70.00", "reached")
  # 74 + 2 sqrt(74 (1 - 74 / 10,000)) = 91.1
  assert found["errors, taught"] == ("81.00", "reached")
  assert found["share of the gap, %"] == ("86.25", "reached")
  assert found["correct threes, %"] == ("98.50", "reached")
  assert found["errors, 3 % of the images, soft targets"][1] == "reached"
  assert found["errors, no 3, after"][1] == ""


def test_only_numbers_with_a_source_are_called_published(experiment):
  """See the module's docstring: 67, 146, 74, their gap, and 98.6 %."""
  lines = experiment.table([_row()]).splitlines()[2:]
  cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
  published = {name: value for name, value, *_ in cells if value}
  assert published == {
    "errors, teacher": "67",
    "errors, labels": "146",
    "errors, taught": "74",
    "share of the gap, %": "91",
    "correct threes, %": "98.6",
  }


def test_numbers_that_are_not_reached_are_called_so(experiment):
  bad = _row(taught=151, threes=0.97, teacher=90)
  bad["few soft"] = 701
  found = _verdicts(experiment, [_row(), bad])
  for name in (
    "errors, taught",
    "share of the gap, %",
    "correct threes, %",
    "errors, 3 % of the images, soft targets",
  ):
    assert found[name][1] == "not reached", name


def test_every_run_has_a_valid_config(experiment, tmp_path):
  teacher = configs.load(experiment.BASE, experiment.TEACHER)
  assert teacher.model.options.hidden == (1200, 1200)
  taught = experiment._taught(tmp_path, "taught")
  student = configs.load(experiment.BASE, {**experiment.STUDENT, **taught})
  assert student.task.options.temperature == 20
  losses.distillation.create(
    **{"name" if k == "loss" else k: v for k, v in experiment.LOSS.items()}
  )
  # Stored logits need one view of each image.
  assert student.data.device_transforms == student.data.train_transforms == ()
  assert student.optimizer.weight_decay == 0 and student.ema.decay == 0


def test_a_bias_moves_examples_to_the_class_three(experiment):
  logits = np.zeros((4, 10))
  logits[:, 5], logits[:2, 3] = 2.0, (1.5, 0.5)
  labels = np.asarray([3, 3, 5, 5])
  wrong = [experiment._wrong(logits, labels, b).sum() for b in (0, 1, 1.6, 3)]
  assert wrong == [2, 1, 0, 2]


def test_three_percent_are_drawn_anew_with_each_seed(experiment):
  labels = np.arange(1000) % 10
  rows = [experiment._drawn(labels, seed) for seed in (0, 0, 1)]
  assert len(set(rows[0].tolist())) == 30
  assert rows[0].tolist() == rows[1].tolist() != rows[2].tolist()


@pytest.mark.slow
def test_the_benchmark_prints_a_ratio(benchmark, monkeypatch, capsys):
  small = dataclasses.replace(
    benchmark.CASES["mlp"], image_size=8, batch_size=16, steps=2
  )
  monkeypatch.setattr(benchmark, "CASES", {"mlp": small})
  benchmark.main(["--cases", "mlp", "--rounds", "1"])
  cells = capsys.readouterr().out.splitlines()[-1].split("|")
  assert cells[1].strip() == "mlp" and float(cells[-2]) > 0


def test_the_ratio_is_within_rounds(benchmark):
  # The second round was on a busy machine, which must not affect the result.
  busy = np.array([[1.0, 1.0], [9.0, 1.0], [1.0, 1.0]])
  seconds = {"student": busy, "teacher": 2 * busy, "distil": 3.3 * busy}
  line = benchmark.row("mlp", benchmark.CASES["mlp"], seconds)
  assert line.split("|")[-3].strip() == "1.100"
