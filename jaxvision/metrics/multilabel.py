"""Metrics of sets of classes, from one logit per class.

A class is predicted if its logit is above 0, that is, if its probability is
above 0.5. Ranking metrics use the logits, because probabilities near 0 and 1
are rounded to equal numbers. Average precision is exact: the logits and targets
of all examples are kept until `finish`. In `sums` they take 5 bytes for each
example and class. Examples with mask 0 are not counted, for any logits.

If a logit is NaN, the class is not predicted, and its average precision is NaN.
The average precision of a class without a positive example is undefined: it is
NaN for the class, and the mean excludes it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import evaluation

Sums = dict[str, Any]

# The sums that have one value per class.
_COUNTS = ("true_positives", "predicted", "support")
# The values that are kept for each example, and the axis of the examples.
_ROWS = {"logits": -2, "targets": -2, "mask": -1}


def training_sums(
  logits: jax.Array, targets: jax.Array, mask: jax.Array
) -> Sums:
  """Returns the sums of a training step.

  Args:
    logits: (b, k).
    targets: (b, k), 0 or 1.
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    `{count, subset_accuracy}`, int32 scalars: the number of examples, and the
    number of examples without a wrong class; `hamming_loss`, a float32 scalar:
    the sum over the examples of the fraction of wrong classes.
  """
  counted = mask > 0
  wrong = (logits > 0) != (targets > 0.5)
  shares = jnp.mean(wrong.astype(jnp.float32), axis=-1)
  return {
    "count": jnp.sum(counted.astype(jnp.int32)),
    "subset_accuracy": jnp.sum((counted & ~jnp.any(wrong, -1)).astype("int32")),
    "hamming_loss": jnp.sum(jnp.where(counted, shares, 0.0)),
  }


def sums(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> Sums:
  """Returns the sums of a batch for all metrics of an evaluation.

  Args:
    logits: (b, k).
    targets: (b, k), 0 or 1.
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    The result of `training_sums`, and for each class, (k,) int32:
    true_positives, the number of correct predictions; predicted, the number of
    predictions; support, the number of examples with the class. Also the
    logits (b, k) float32, targets (b, k) uint8 and mask (b,) uint8.
  """
  counted = (mask > 0)[:, None]
  has, predicted = counted & (targets > 0.5), counted & (logits > 0)
  by_class = {
    "true_positives": has & predicted,
    "predicted": predicted,
    "support": has,
  }
  return training_sums(logits, targets, mask) | {
    **{k: jnp.sum(v.astype(jnp.int32), axis=0) for k, v in by_class.items()},
    "logits": logits.astype(jnp.float32),
    "targets": has.astype(jnp.uint8),
    "mask": (mask > 0).astype(jnp.uint8),
  }


def merge(a: Sums, b: Sums) -> Sums:
  """Adds two results of `sums`; rows of examples are concatenated."""
  rows = {
    name: np.concatenate([a[name], b[name]], axis=axis)
    for name, axis in _ROWS.items()
    if name in a
  }
  return {name: a[name] + b[name] for name in a if name not in rows} | rows


def finish(tree: Sums) -> dict[str, float]:
  """Returns the metrics: fractions (not percent), and means of added sums.

  Args:
    tree: from `sums` or `training_sums`. Other scalars can be added, such as
      the sum of the loss: each is divided by the count.

  Returns:
    The mean of each scalar (subset_accuracy, hamming_loss, loss, ...). For the
    sums of an evaluation, also `mean_average_precision` over the classes with
    a positive example (NaN without such a class); and `precision`, `recall`
    and `f1`, each `_macro` (mean over the classes among labels or predictions)
    and `_micro` (over all pairs of an example and a class).

  Raises:
    ValueError: no example was counted.
  """
  tree = jax.tree.map(np.asarray, tree)
  metrics = evaluation.means(tree)
  if "support" not in tree:
    return metrics
  return metrics | _averages(tree)


def per_class(tree: Sums) -> dict[str, np.ndarray]:
  """Returns the metrics of each class, and its support.

  Args:
    tree: from `sums`.

  Returns:
    `{precision, recall, f1}`, (k,) float64, 0 if undefined (a class without
    prediction has precision 0); `average_precision`, (k,) float64, NaN for a
    class without a positive example; `support`, (k,) int64.
  """
  counts = {name: np.asarray(tree[name]).astype(np.int64) for name in _COUNTS}
  return {
    **_rates(**counts),
    "average_precision": _average_precisions(tree),
    "support": counts["support"],
  }


def average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
  """Returns sum_n (R_n - R_{n-1}) P_n over the different scores, descending.

  R_n and P_n are recall and precision of the examples whose score is at least
  the n-th distinct score. This is the sum in scikit-learn, without
  interpolation.

  Args:
    scores: (n,); any increasing function of the probability.
    targets: (n,), 0 or 1.

  Returns:
    NaN without a positive example, or if a score is NaN.
  """
  positives = int(targets.sum())
  if not positives or np.isnan(scores).any():
    return float("nan")
  order = np.argsort(-scores, kind="stable")
  ranked, found = scores[order], np.cumsum(targets[order], dtype=np.int64)
  last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
  precision = found[last] / (last + 1)
  gained = np.diff(found[last], prepend=0) / positives
  return float(np.sum(gained * precision))


def _average_precisions(tree: Sums) -> np.ndarray:
  rows = np.asarray(tree["mask"]) > 0
  logits, targets = (np.asarray(tree[n])[rows] for n in ("logits", "targets"))
  columns = zip(logits.T, targets.T, strict=True)
  return np.asarray([average_precision(*each) for each in columns])


def _averages(tree: Sums) -> dict[str, float]:
  by_class = per_class(tree)
  counts = {name: np.asarray(tree[name]).astype(np.int64) for name in _COUNTS}
  occurs = (counts["predicted"] + counts["support"]) > 0
  whole = _rates(**{name: each.sum() for name, each in counts.items()})
  defined = by_class["support"] > 0
  precisions = by_class["average_precision"][defined]
  averages = {
    "mean_average_precision": float(precisions.mean())
    if len(precisions)
    else float("nan")
  }
  for name in ("precision", "recall", "f1"):
    each = by_class[name][occurs]
    averages[f"{name}_macro"] = float(each.mean()) if len(each) else 0.0
    averages[f"{name}_micro"] = float(whole[name])
  return averages


def _rates(
  *, true_positives: np.ndarray, predicted: np.ndarray, support: np.ndarray
) -> dict[str, np.ndarray]:
  return {
    "precision": true_positives / np.maximum(predicted, 1),
    "recall": true_positives / np.maximum(support, 1),
    "f1": 2 * true_positives / np.maximum(predicted + support, 1),
  }
