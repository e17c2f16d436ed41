"""Tests of metrics.agreement against plain numpy."""

import numpy as np
import pytest

from jaxvision.metrics import agreement


def _random(classes):
  rng = np.random.default_rng(0)
  student, teacher = rng.normal(size=(2, 40, classes)).astype(np.float32)
  mask = np.ones(40, np.float32)
  mask[33:] = 0
  return student, teacher, mask


@pytest.mark.parametrize("classes", [3, 7])
def test_sums_are_counts(classes):
  student, teacher, mask = _random(classes)
  sums = agreement.sums(student, teacher, mask)
  chosen = teacher.argmax(-1)[:33]
  agrees = student.argmax(-1)[:33] == chosen
  assert int(sums["count"]) == 33
  assert int(sums["agreement"]) == agrees.sum()
  assert agreement.training_sums(student, teacher, mask) == {
    name: sums[name] for name in ("count", "agreement")
  }
  order = np.argsort(-student, axis=-1)[:33, :5]
  if classes > 5:
    within = (order == chosen[:, None]).any(-1)
    assert int(sums["agreement_top5"]) == within.sum()
  else:
    assert "agreement_top5" not in sums


def test_agreement_by_class_has_nan_for_a_class_that_is_never_chosen():
  teacher = np.eye(4, dtype=np.float32)[[0, 0, 1, 3]]
  student = np.eye(4, dtype=np.float32)[[0, 2, 1, 1]]
  sums = agreement.sums(student, teacher, np.ones(4, np.float32))
  found = agreement.per_class({k: _host(v) for k, v in sums.items()})
  assert found["chosen"].tolist() == [2, 1, 0, 1]
  np.testing.assert_array_equal(found["agreement"], [0.5, 1, np.nan, 0])


def _host(tree):
  if isinstance(tree, dict):
    return {name: np.asarray(each) for name, each in tree.items()}
  return np.asarray(tree)
