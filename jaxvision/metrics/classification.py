"""Metrics of classifiers: sums over examples, divided at the end.

In `sums`, counts are integers, so their sums are exact (up to 2^31 examples).
`merge` adds sums. `finish` divides on the host in float64. The label is the
argmax of the targets (for mixed targets, the largest part). Examples with mask
0 are not counted, for any logits.

Ties: of equal logits the lower class ranks first, as in `argmax`. An example
with NaN logits is never correct: its prediction in the confusion matrix is the
class after its label, and it makes the calibration error NaN.
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import confusion, evaluation

Sums = dict[str, Any]

_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks"


def training_sums(
  logits: jax.Array, targets: jax.Array, mask: jax.Array
) -> Sums:
  """Returns the sums of a training step: examples and correct examples.

  Args:
    logits: (b, k).
    targets: (b, k), distributions.
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    `{count, top1}`, int32 scalars.
  """
  counted = mask.astype(jnp.int32)
  correct = _rank(logits, targets) < 1
  return {"count": jnp.sum(counted), "top1": jnp.sum(counted * correct)}


def sums(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> Sums:
  """Returns the sums of a batch for all metrics of an evaluation.

  Args:
    logits: (b, k).
    targets: (b, k), distributions.
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    count, top1: int32 scalars;
    top5: likewise; only if there are more than 5 classes;
    confusion: (k, k) int32, rows are labels and columns predictions;
    calibration: over 15 equal bins of the confidence (the largest softmax
      probability): correct (15,) int32, the number of correct examples, and
      confidence (15,) float32, the sum of the confidences.
  """
  counted = mask.astype(jnp.int32)
  num_classes = logits.shape[-1]
  rank = _rank(logits, targets)
  correct = counted * (rank < 1)
  labels = jnp.argmax(targets, axis=-1)
  is_nan = jnp.any(jnp.isnan(logits), axis=-1)
  predictions = jnp.where(
    is_nan, (labels + 1) % num_classes, jnp.argmax(logits, axis=-1)
  )
  matrix = jnp.zeros((num_classes, num_classes), jnp.int32)
  tree = {
    "count": jnp.sum(counted),
    "top1": jnp.sum(correct),
    "confusion": matrix.at[labels, predictions].add(counted),
    "calibration": _calibration_sums(logits, counted, correct),
  }
  if num_classes > 5:
    tree["top5"] = jnp.sum(counted * (rank < 5))
  return tree


def merge(a: Sums, b: Sums) -> Sums:
  """Returns the sum of two sums, on the device or the host."""
  return jax.tree.map(operator.add, a, b)


def finish(tree: Sums) -> dict[str, float]:
  """Returns the metrics: fractions (not percent), and means of added sums.

  Args:
    tree: from `sums` or `training_sums`. Other scalars can be added, such as
      the sum of the loss: each is divided by the count.

  Returns:
    The mean of each scalar (top1, top5, loss, ...). With a confusion matrix,
    also `precision`, `recall` and `f1`, each `_macro` (mean over the classes
    among labels or predictions, as in scikit-learn) and `_micro` (over all
    examples; with one label per example all three equal top1), and
    `calibration_error`, the expected calibration error.

  Raises:
    ValueError: no example was counted.
  """
  tree = jax.tree.map(np.asarray, tree)
  metrics = evaluation.means(tree)
  if "confusion" in tree:
    metrics |= _averages(tree["confusion"])
  if "calibration" in tree:
    bins = tree["calibration"]
    gaps = np.abs(bins["confidence"].astype(np.float64) - bins["correct"])
    metrics["calibration_error"] = float(gaps.sum()) / int(tree["count"])
  return metrics


def _rank(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """(b,) number of classes that rank before the label; k if a logit is NaN."""
  labels = jnp.argmax(targets, axis=-1)[:, None]
  score = jnp.take_along_axis(logits, labels, axis=-1)
  classes = jnp.arange(logits.shape[-1])[None]
  # XLA may compute `logits` and `score` separately, with different rounding. So
  # the label is not compared with itself.
  larger = (logits > score) & (classes != labels)
  before = larger | ((logits == score) & (classes < labels))
  is_nan = jnp.any(jnp.isnan(logits), axis=-1)
  return jnp.where(is_nan, logits.shape[-1], jnp.sum(before, axis=-1))


def _calibration_sums(
  logits: jax.Array, counted: jax.Array, correct: jax.Array
) -> Sums:
  """Bins (i/15, (i+1)/15] of the largest softmax probability."""
  probabilities = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
  # `where` instead of a product: NaN in the padding times 0 is NaN.
  confidence = jnp.where(counted > 0, jnp.max(probabilities, axis=-1), 0.0)
  bins = jnp.ceil(jnp.nan_to_num(confidence) * _BINS).astype(jnp.int32) - 1
  bins = jnp.clip(bins, 0, _BINS - 1)
  return {
    "correct": jnp.zeros(_BINS, jnp.int32).at[bins].add(correct),
    "confidence": jnp.zeros(_BINS, jnp.float32).at[bins].add(confidence),
  }


def _averages(matrix: np.ndarray) -> dict[str, float]:
  scores = confusion.class_scores(matrix.astype(np.int64))
  occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
  micro = float(np.trace(matrix)) / float(matrix.sum())
  averages = {}
  for name in ("precision", "recall", "f1"):
    # A class without prediction has precision 0.
    of_each = np.nan_to_num(getattr(scores, name)[occurs])
    averages[f"{name}_macro"] = float(of_each.mean())
    averages[f"{name}_micro"] = micro
  return averages
