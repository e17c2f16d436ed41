"""Metrics of sets of classes, from one logit per class.

A class is predicted where its logit is above 0, that is, where its probability
is above 0.5. Ranking metrics use the logits: probabilities near 0 and 1 round
to equal numbers. Average precision is exact: the logits and targets of all
examples are kept until `finish`, 5 bytes an example and class in `sums`.
Examples whose mask is 0 count nothing, whatever their logits are.

A logit that is NaN predicts no class, and makes the average precision of its
class NaN. The average precision of a class without a positive example is not
defined: it is NaN by class, and the mean leaves it out.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import evaluation

Sums = dict[str, Any]

# Sums by class.
_COUNTS = ("true_positives", "predicted", "support")
# The values kept for each example, and the axis of the examples.
_ROWS = {"logits": -2, "targets": -2, "mask": -1}


def training_sums(
  logits: jax.Array, targets: jax.Array, mask: jax.Array
) -> Sums:
  """Returns what every training step counts.

  Args:
    logits: (b, k).
    targets: (b, k), 0 or 1.
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    `{count, subset_accuracy}`, int32 scalars: the examples, and those whose set
    is predicted without an error; `hamming_loss`, a float32 scalar: the sum of
    the share of wrong classes of each example.
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
  """Returns all that the metrics of an evaluation need, of a batch.

  Args:
    logits: (b, k).
    targets: (b, k), 0 or 1.
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    What `training_sums` returns; true_positives, predicted, support: (k,)
    int32, the examples that have the class and are predicted to, that are
    predicted to have it, and that have it; logits (b, k) float32, targets
    (b, k) uint8, mask (b,) uint8: of each example.
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
  """Returns the sums over the examples of both; rows of examples are joined."""
  rows = {
    name: np.concatenate([a[name], b[name]], axis=axis)
    for name, axis in _ROWS.items()
    if name in a
  }
  return {name: a[name] + b[name] for name in a if name not in rows} | rows


def finish(tree: Sums) -> dict[str, float]:
  """Returns the metrics, all fractions (not percent) save for added sums.

  Args:
    tree: from `sums` or `training_sums`. Other scalars may have been added,
      such as the sum of the loss: each is divided by the count.

  Returns:
    The mean of every scalar (subset_accuracy, hamming_loss, loss ...). With the
    sums of an evaluation also `mean_average_precision`, over the classes that
    have a positive example, and NaN if none has; `precision`, `recall` and
    `f1`, each `_macro` (mean over the classes that occur among the labels or
    the predictions) and `_micro` (over all pairs of an example and a class).

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
    `{precision, recall, f1}`, (k,) float64, 0 where undefined (a class without
    prediction has precision 0); `average_precision`, (k,) float64, NaN of a
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
  the n-th one: equal scores count together. It is the sum that scikit-learn
  computes, without interpolation.

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
