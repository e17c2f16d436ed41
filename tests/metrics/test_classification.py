"""Tests of classification: scikit-learn as oracle, masks, merging, NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxvision import metrics

K = 7
sums_of = jax.jit(metrics.classification.sums)


def _examples(batch=96, num_classes=K, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, num_classes, batch)
  targets = np.eye(num_classes, dtype=np.float32)[labels]
  logits = rng.normal(0, 1, (batch, num_classes)).astype(np.float32)
  return logits + 1.5 * targets, targets, np.ones(batch, np.float32), labels


def _probabilities(logits):
  return np.asarray(jax.nn.softmax(jnp.asarray(logits, jnp.float32)))


@pytest.mark.parametrize("shape", [(12, 5, 10), (13, 5, 7)])
def test_logits_that_are_computed_in_the_same_program_rank_as_given(shape):
  """XLA:CPU computes these once for each reader, with different rounding.

  It does so with LLVM's optimisation, which other tests do without.
  """

  def computed(views, targets, mask):
    scale = jax.nn.logsumexp(views, axis=-1, keepdims=True)
    logits = jax.nn.logsumexp(views - scale, axis=1) + jnp.mean(scale, axis=1)
    return metrics.classification.sums(logits, targets, mask), logits

  optimised = {"xla_backend_optimization_level": 3}
  computed = jax.jit(computed, compiler_options=optimised)
  for seed in range(5):
    views = np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)
    labels = views.mean(1).argmax(-1)
    targets = np.eye(shape[-1], dtype=np.float32)[labels]
    mask = np.ones(len(labels), np.float32)
    found, logits = jax.device_get(computed(views, targets, mask))
    assert found["top1"] == (logits.argmax(-1) == labels).sum()


def test_finish_agrees_with_scikit_learn():
  logits, targets, mask, labels = _examples()
  found = metrics.classification.finish(sums_of(logits, targets, mask))
  predictions = logits.argmax(-1)
  expected = {
    "top1": sklearn.metrics.accuracy_score(labels, predictions),
    "top5": sklearn.metrics.top_k_accuracy_score(labels, logits, k=5),
  }
  for average in ("macro", "micro"):
    values = sklearn.metrics.precision_recall_fscore_support(
      labels, predictions, average=average
    )
    for name, value in zip(("precision", "recall", "f1"), values, strict=False):
      expected[f"{name}_{average}"] = value
  error = found.pop("calibration_error")
  assert 0 < error < 1
  assert found == pytest.approx(expected, rel=1e-12)


def test_confusion_agrees_with_scikit_learn():
  logits, targets, mask, labels = _examples()
  sums = sums_of(logits, targets, mask)
  expected = sklearn.metrics.confusion_matrix(labels, logits.argmax(-1))
  np.testing.assert_array_equal(sums["confusion"], expected)


def test_classes_that_do_not_occur():
  """Class 2 has labels but no prediction; class 3 has neither."""
  labels, predictions = np.array([0, 1, 2, 0]), np.array([0, 1, 1, 0])
  logits, targets = np.eye(4)[predictions], np.eye(4)[labels]
  sums = sums_of(logits, targets, np.ones(4))
  found = metrics.classification.finish(sums)
  expected = sklearn.metrics.precision_recall_fscore_support(
    labels, predictions, average="macro", zero_division=0
  )
  for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
    assert found[f"{name}_macro"] == pytest.approx(value)


def test_calibration_error_equals_the_loop_of_its_definition():
  logits, targets, mask, labels = _examples(batch=200)
  p = _probabilities(logits)
  confidence, correct = p.max(-1), p.argmax(-1) == labels
  expected = 0.0
  for i in range(15):
    inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
    if inside.any():
      gap = abs(correct[inside].mean() - confidence[inside].mean())
      expected += inside.mean() * gap
  found = metrics.classification.finish(sums_of(logits, targets, mask))
  assert found["calibration_error"] == pytest.approx(expected, rel=1e-5)


def test_calibration_error_of_certainty():
  """The confidence is 1, the upper edge, and half of the examples correct."""
  logits = np.full((4, 3), -100.0, np.float32)
  logits[:, 0] = 100.0
  targets = np.eye(3)[[0, 0, 1, 2]]
  found = metrics.classification.finish(sums_of(logits, targets, np.ones(4)))
  assert found["calibration_error"] == pytest.approx(0.5)


def test_masked_examples_count_nothing_even_if_they_are_nan():
  logits, targets, mask, _ = _examples()
  padding = np.full((5, K), np.nan, np.float32)
  padded = sums_of(
    np.concatenate([logits, padding]),
    np.concatenate([targets, np.zeros((5, K), np.float32)]),
    np.concatenate([mask, np.zeros(5, np.float32)]),
  )
  jax.tree.map(
    np.testing.assert_array_equal, padded, sums_of(logits, targets, mask)
  )


def test_merged_batches_equal_one_batch_at_any_size():
  logits, targets, mask, _ = _examples()
  whole = metrics.classification.finish(sums_of(logits, targets, mask))
  for size in (1, 32, 96):
    total = None
    for i in range(0, 96, size):
      part = slice(i, i + size)
      batch = sums_of(logits[part], targets[part], mask[part])
      total = (
        batch if total is None else metrics.classification.merge(total, batch)
      )
    assert metrics.classification.finish(total) == pytest.approx(
      whole, rel=1e-6
    )


def test_eight_devices_equal_one():
  logits, targets, mask, _ = _examples()
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
  sharding = NamedSharding(mesh, PartitionSpec("data"))
  shards = jax.device_put((logits, targets, mask), sharding)
  many, one = sums_of(*shards), sums_of(logits, targets, mask)
  for name in ("count", "top1", "top5", "confusion"):
    np.testing.assert_array_equal(many[name], one[name])
  assert metrics.classification.finish(many) == pytest.approx(
    metrics.classification.finish(one), rel=1e-6
  )


def test_counts_stay_exact_beyond_float32():
  """2^24 + 1 is not a float32 number."""
  one = sums_of(np.eye(6)[:1], np.eye(6)[:1], np.ones(1))
  many = jax.tree.map(lambda x: x * 2**24, one)
  total = metrics.classification.merge(many, one)
  assert int(total["count"]) == int(total["confusion"][0, 0]) == 2**24 + 1
  assert metrics.classification.finish(total)["top1"] == 1.0


def test_training_sums_are_those_of_the_evaluation():
  logits, targets, _, _ = _examples()
  mask = (np.arange(96) % 3 > 0).astype(np.float32)
  light = jax.jit(metrics.classification.training_sums)(logits, targets, mask)
  full = sums_of(logits, targets, mask)
  assert light == {"count": full["count"], "top1": full["top1"]}
  assert light["top1"].dtype == jnp.int32
  assert metrics.classification.finish(light) == {
    "top1": metrics.classification.finish(full)["top1"]
  }


def test_a_nan_is_a_mistake_in_every_metric():
  targets = np.eye(K, dtype=np.float32)
  logits = 9 * targets
  logits[2, 4] = np.nan
  logits[3, 3] = np.nan
  sums = sums_of(logits, targets, np.ones(K))
  assert int(sums["top1"]) == int(sums["top5"]) == K - 2
  assert int(np.trace(sums["confusion"])) == K - 2
  assert int(sums["confusion"].sum()) == K
  found = metrics.classification.finish(sums)
  assert found["recall_micro"] == pytest.approx((K - 2) / K)
  assert np.isnan(found["calibration_error"])


def test_infinite_logits_are_ranked():
  logits = np.array([[np.inf, 0, 0], [-np.inf, 0, 1]], np.float32)
  sums = sums_of(logits, np.eye(3)[[0, 2]], np.ones(2))
  assert int(sums["top1"]) == 2


def test_ties_go_to_the_lower_class():
  sums = sums_of(np.zeros((K, K)), np.eye(K), np.ones(K))
  assert int(sums["top1"]) == 1
  assert int(sums["top5"]) == 5
  np.testing.assert_array_equal(sums["confusion"].sum(0), [K] + [0] * (K - 1))


def test_top5_needs_more_than_five_classes():
  assert "top5" not in sums_of(np.eye(5), np.eye(5), np.ones(5))
  assert "top5" in sums_of(np.eye(6), np.eye(6), np.ones(6))


def test_the_label_of_mixed_targets_is_the_larger_share():
  mixed = np.array([[0.3, 0.7, 0.0]], np.float32)
  sums = sums_of(np.array([[0.0, 1.0, 0.5]]), mixed, np.ones(1))
  assert int(sums["confusion"][1, 1]) == 1


def test_added_sums_are_divided_by_the_count():
  logits, targets, mask, _ = _examples()
  sums = {**sums_of(logits, targets, mask), "loss": jnp.asarray(48.0)}
  assert metrics.classification.finish(sums)["loss"] == 0.5


def test_no_examples_is_an_error():
  with pytest.raises(ValueError, match="metrics of 0 examples"):
    metrics.classification.finish(sums_of(np.eye(3), np.eye(3), np.zeros(3)))
