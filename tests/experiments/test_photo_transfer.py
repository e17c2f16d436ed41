"""The study of photographs: its splits and its verdicts."""

import experiment_scripts
import numpy as np
import pytest


@pytest.fixture(scope="module")
def study():
  return experiment_scripts.load("photo_transfer.py")


def test_a_third_of_each_class_is_for_the_test(study):
  labels = np.repeat([0, 1, 2], [9, 20, 65])
  pool, test = study.split(labels, seed=3)
  assert [len(rows) for rows in test] == [3, 7, 22]
  for label, rows in enumerate(zip(pool, test, strict=True)):
    both = np.concatenate(rows)
    assert sorted(both) == np.flatnonzero(labels == label).tolist()
  again, _ = study.split(labels, seed=3)
  other, _ = study.split(labels, seed=4)
  assert [each.tolist() for each in again] == [each.tolist() for each in pool]
  assert [each.tolist() for each in other] != [each.tolist() for each in pool]


@pytest.mark.parametrize(
  ("ahead", "verdict"),
  [
    ((3.0, 3.0), "reached, ahead"),
    ((1.0, 1.1), "ahead"),
    ((-4.0, 16.0), "reached"),
    ((-2.0, 2.0), "no difference shown"),
  ],
)
def test_verdicts_are_of_the_differences_seed_by_seed(study, ahead, verdict):
  base = dict.fromkeys(study.WAYS, 0.0)
  results = [
    {0: {**base, "5-nn": nn, "ridge": nn + points / 100}}
    for nn, points in zip((0.5, 0.8), ahead, strict=True)
  ]
  (row,) = [
    line
    for line in study.judge(results).splitlines()
    if line.startswith("| ridge")
  ]
  assert row.split("|")[3].strip() == verdict
