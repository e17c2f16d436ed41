"""The objective is a number of the run, or a clear error."""

import math

import pytest

from jaxvision import sweeps
from jaxvision.sweeps.experiment import objective

_LINES = [
  {"step": 1, "validation/top1": 0.5, "train/loss": 2.0},
  {"step": 2, "validation/top1": 0.9},
  {"step": 3, "validation/top1": 0.7, "train/loss": 1.0},
]


@pytest.mark.parametrize(
  ("aim", "expected"),
  [
    (sweeps.maximize("validation/top1"), 0.7),
    (sweeps.maximize("validation/top1", at="best"), 0.9),
    (sweeps.minimize("train/loss"), 1.0),
    (sweeps.minimize("validation/top1", at="best"), 0.5),
  ],
)
def test_value_is_the_last_or_the_best(aim, expected):
  assert objective.value(aim, _LINES) == expected


@pytest.mark.parametrize(
  ("aim", "expected"),
  [
    (sweeps.maximize("validation/top1"), 0.9),
    (sweeps.minimize("validation/top1", at="best"), 0.5),
    (sweeps.minimize("train/loss"), 2.0),
  ],
)
def test_the_last_value_is_that_of_the_restored_checkpoint(aim, expected):
  assert objective.value(aim, _LINES, end=2) == expected


def test_a_number_is_better_than_none():
  aim = sweeps.minimize("loss")
  assert objective.is_better(aim, 1.0, 2.0)
  assert objective.is_better(aim, 1.0, math.nan)
  assert not objective.is_better(aim, math.nan, 1.0)
  assert objective.best(aim, [math.nan, 3.0, 2.0]) == 2.0


def test_a_missing_metric_or_nan_is_an_error():
  with pytest.raises(ValueError, match="did you mean 'validation/top1'"):
    objective.value(sweeps.maximize("validaton/top1"), _LINES)
  with pytest.raises(ValueError, match="loss is nan"):
    objective.value(sweeps.minimize("loss"), [{"step": 1, "loss": math.nan}])
  with pytest.raises(ValueError, match="unknown value of `at` 'end'"):
    sweeps.minimize("loss", at="end")
