"""Tests of jaxvision.metrics.regression against scikit-learn."""

import functools

import jax
import numpy as np
import pytest
from sklearn import metrics as theirs

from jaxvision.metrics import regression

NAMES = ("mean_absolute_error", "root_mean_squared_error", "r2")


def _examples(count=150, numbers=3, offset=0.0, seed=0):
  rng = np.random.default_rng(seed)
  targets = rng.normal(size=(count, numbers)) * [1, 5, 0.1] + offset
  outputs = targets + rng.normal(size=targets.shape) * [0.5, 1, 0.2]
  return outputs.astype(np.float32), targets.astype(np.float32)


def _in_batches(outputs, targets, size=64, mask=None):
  mask = np.ones(len(outputs)) if mask is None else mask
  parts = []
  for start in range(0, len(outputs), size):
    rows = slice(start, start + size)
    short = size - len(outputs[rows])
    batch = (
      np.pad(outputs[rows], ((0, short), (0, 0)), constant_values=np.nan),
      np.pad(targets[rows], ((0, short), (0, 0)), constant_values=np.nan),
      np.pad(mask[rows], (0, short)),
    )
    sums = jax.device_get(jax.jit(regression.sums)(*batch))
    parts.append(jax.tree.map(np.float64, sums))
  return functools.reduce(regression.merge, parts)


def _theirs(targets, outputs, multioutput):
  return (
    theirs.mean_absolute_error(targets, outputs, multioutput=multioutput),
    theirs.root_mean_squared_error(targets, outputs, multioutput=multioutput),
    theirs.r2_score(targets, outputs, multioutput=multioutput),
  )


def test_metrics_are_those_of_scikit_learn():
  outputs, targets = _examples()
  tree = _in_batches(outputs, targets)
  exact = targets.astype(np.float64), outputs.astype(np.float64)
  expected = _theirs(*exact, "uniform_average")
  found = regression.finish(tree)
  np.testing.assert_allclose([found[n] for n in NAMES], expected, rtol=1e-5)
  by_number = regression.per_number(tree)
  for name, each in zip(NAMES, _theirs(*exact, "raw_values"), strict=True):
    np.testing.assert_allclose(by_number[name], each, rtol=1e-5)


def test_a_large_mean_does_not_spoil_r2():
  """Sums of squares in float32 would have no digit left."""
  outputs, targets = _examples(offset=10_000.0)
  found = regression.per_number(_in_batches(outputs, targets))
  exact = targets.astype(np.float64), outputs.astype(np.float64)
  expected = theirs.r2_score(*exact, multioutput="raw_values")
  np.testing.assert_allclose(found["r2"], expected, rtol=1e-3)


def test_the_batch_size_does_not_matter():
  outputs, targets = _examples(seed=1)
  wholes = [
    regression.finish(_in_batches(outputs, targets, size=size))
    for size in (1, 7, 150)
  ]
  assert all(each == pytest.approx(wholes[0], rel=1e-5) for each in wholes[1:])


def test_masked_examples_do_not_count():
  outputs, targets = _examples(seed=2)
  mask = (np.arange(len(outputs)) % 3 > 0).astype(np.float32)
  outputs[mask == 0] = np.nan
  found = regression.finish(_in_batches(outputs, targets, mask=mask))
  alone = regression.finish(_in_batches(outputs[mask > 0], targets[mask > 0]))
  assert found == pytest.approx(alone, rel=1e-5)
  # A batch that is all padding changes nothing.
  nothing = jax.device_get(
    regression.sums(outputs[:2], targets[:2], np.zeros(2))
  )
  tree = _in_batches(outputs[mask > 0], targets[mask > 0])
  assert regression.finish(regression.merge(tree, nothing)) == alone


def test_r2_of_equal_targets_is_1_without_errors_and_0_with_errors():
  targets = np.full((4, 2), 3.0, np.float32)
  outputs = targets + np.asarray([0.0, 1.0], np.float32)
  found = regression.per_number(_in_batches(outputs, targets))
  expected = theirs.r2_score(targets, outputs, multioutput="raw_values")
  assert found["r2"].tolist() == expected.tolist() == [1.0, 0.0]


def test_a_nan_gives_nan():
  outputs, targets = _examples(seed=3)
  outputs[5, 0] = np.nan
  found = regression.finish(_in_batches(outputs, targets))
  assert all(np.isnan(found[name]) for name in NAMES)


def test_added_sums_are_divided_by_the_count():
  outputs, targets = _examples(count=4)
  tree = _in_batches(outputs, targets) | {"loss": np.asarray(8.0)}
  assert regression.finish(tree)["loss"] == 2


def test_no_example_is_an_error():
  outputs, targets = _examples(count=4)
  with pytest.raises(ValueError, match="metrics of 0 examples"):
    regression.finish(_in_batches(outputs, targets, mask=np.zeros(4)))
