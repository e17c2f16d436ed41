"""Tests of jaxvision.metrics.multilabel against scikit-learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as theirs

from jaxvision.metrics import multilabel


def _examples(count=200, classes=6, seed=0, levels=None):
  rng = np.random.default_rng(seed)
  targets = (rng.random((count, classes)) < 0.3).astype(np.float32)
  logits = rng.normal(size=(count, classes)) + targets - 0.5
  if levels:  # ties
    logits = np.round(logits * levels) / levels
  return logits.astype(np.float32), targets


def _in_batches(logits, targets, size=64, mask=None):
  """The merged sums of padded batches; the padding is NaN."""
  mask = np.ones(len(logits)) if mask is None else mask
  parts = []
  for start in range(0, len(logits), size):
    rows = slice(start, start + size)
    short = size - len(logits[rows])
    batch = (
      np.pad(logits[rows], ((0, short), (0, 0)), constant_values=np.nan),
      np.pad(targets[rows], ((0, short), (0, 0))),
      np.pad(mask[rows], (0, short)),
    )
    parts.append(jax.device_get(jax.jit(multilabel.sums)(*batch)))
  return functools.reduce(multilabel.merge, parts)


@pytest.mark.parametrize("levels", [None, 2])
def test_metrics_are_those_of_scikit_learn(levels):
  logits, targets = _examples(levels=levels)
  found = multilabel.finish(_in_batches(logits, targets))
  predicted = (logits > 0).astype(int)
  expected = {
    "mean_average_precision": theirs.average_precision_score(targets, logits),
    "subset_accuracy": theirs.accuracy_score(targets, predicted),
    "hamming_loss": theirs.hamming_loss(targets, predicted),
  }
  for name in ("precision", "recall", "f1"):
    score = getattr(theirs, f"{name}_score")
    for average in ("micro", "macro"):
      expected[f"{name}_{average}"] = score(targets, predicted, average=average)
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    assert found[name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("levels", [None, 1])
def test_metrics_of_each_class_are_those_of_scikit_learn(levels):
  logits, targets = _examples(seed=1, levels=levels)
  found = multilabel.per_class(_in_batches(logits, targets))
  expected = theirs.precision_recall_fscore_support(targets, logits > 0)
  names = ("precision", "recall", "f1", "support")
  for name, each in zip(names, expected, strict=True):
    np.testing.assert_allclose(found[name], each, rtol=1e-12)
  np.testing.assert_allclose(
    found["average_precision"],
    theirs.average_precision_score(targets, logits, average=None),
    rtol=1e-9,
  )


def test_the_batch_size_does_not_matter():
  logits, targets = _examples(seed=2)
  wholes = [
    multilabel.finish(_in_batches(logits, targets, size=size))
    for size in (1, 7, 200)
  ]
  assert all(each == pytest.approx(wholes[0], rel=1e-5) for each in wholes[1:])


def test_masked_examples_do_not_count():
  logits, targets = _examples(seed=3)
  mask = (np.arange(len(logits)) % 3 > 0).astype(np.float32)
  logits[mask == 0] = np.nan
  found = multilabel.finish(_in_batches(logits, targets, mask=mask))
  alone = multilabel.finish(_in_batches(logits[mask > 0], targets[mask > 0]))
  assert found == pytest.approx(alone, rel=1e-6)


def test_a_class_without_a_positive_is_left_out_of_the_mean():
  logits, targets = _examples(seed=4)
  targets[:, 2] = 0
  tree = _in_batches(logits, targets)
  found = multilabel.per_class(tree)
  assert np.isnan(found["average_precision"]).tolist() == [
    *(False, False, True, False, False, False)
  ]
  others = [0, 1, 3, 4, 5]
  expected = theirs.average_precision_score(
    targets[:, others], logits[:, others]
  )
  mean = multilabel.finish(tree)["mean_average_precision"]
  assert mean == pytest.approx(expected, rel=1e-9)
  nothing = multilabel.finish(_in_batches(logits, np.zeros_like(targets)))
  assert np.isnan(nothing["mean_average_precision"])


def test_a_class_that_never_occurs_is_left_out_of_the_macro_average():
  logits, targets = _examples(seed=5)
  targets[:, 0], logits[:, 0] = 0, -1
  found = multilabel.finish(_in_batches(logits, targets))
  expected = theirs.f1_score(targets[:, 1:], logits[:, 1:] > 0, average="macro")
  assert found["f1_macro"] == pytest.approx(expected, rel=1e-9)


def test_a_nan_is_no_prediction_and_gives_nan():
  logits, targets = _examples(seed=6)
  logits[3, 1] = np.nan
  found = multilabel.per_class(_in_batches(logits, targets))
  assert np.isnan(found["average_precision"]).tolist()[:2] == [False, True]


def test_average_precision_by_hand():
  # Ranks 1 and 3 are positive: (1 + 2 / 3) / 2.
  value = multilabel.average_precision(
    np.asarray([0.9, 0.8, 0.7, 0.1]), np.asarray([1, 0, 1, 0])
  )
  assert value == pytest.approx((1 + 2 / 3) / 2)
  # All scores are equal: the share of positives.
  value = multilabel.average_precision(np.zeros(4), np.asarray([1, 0, 0, 0]))
  assert value == pytest.approx(0.25)


def test_training_sums_are_a_part_of_all_sums():
  logits, targets = _examples(count=64, seed=7)
  mask = np.ones(64, np.float32)
  some = multilabel.training_sums(jnp.asarray(logits), targets, mask)
  whole = multilabel.sums(jnp.asarray(logits), targets, mask)
  assert all(whole[name] == value for name, value in some.items())
  some["loss"] = jnp.asarray(128.0)
  assert multilabel.finish(some)["loss"] == 2


def test_no_example_is_an_error():
  logits, targets = _examples(count=4)
  with pytest.raises(ValueError, match="metrics of 0 examples"):
    multilabel.finish(_in_batches(logits, targets, mask=np.zeros(4)))
