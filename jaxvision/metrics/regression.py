"""Metrics of regression: errors in the units of the numbers, and R^2.

The sums of a batch hold the mean of its numbers and the squares around that
mean; `merge` joins two such pairs (Chan, Golub and LeVeque 1983, equation 1.5)
so that R^2 stays exact for numbers whose mean is large. Examples whose mask is
0 count nothing, whatever their outputs are.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import evaluation

Sums = dict[str, Any]


def sums(outputs: jax.Array, targets: jax.Array, mask: jax.Array) -> Sums:
  """Returns what the metrics need, of a batch.

  Args:
    outputs: (b, t).
    targets: (b, t).
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    count: int32 scalar; of each of the t numbers (t,) float32: absolute and
    squared, the sums of the errors; mean and mean_rest, whose sum is the mean
    of the targets; scatter, the sum of the squares of the targets around it.
  """
  counted = (mask > 0)[:, None]
  count = jnp.sum(counted.astype(jnp.int32))
  targets = jnp.where(counted, targets.astype(jnp.float32), 0.0)
  # where, not a product: padding may hold NaN, which times 0 stays NaN.
  errors = jnp.where(counted, outputs.astype(jnp.float32) - targets, 0.0)
  mean = jnp.sum(targets, axis=0) / jnp.maximum(count, 1)
  around = jnp.where(counted, targets - mean[None], 0.0)
  # What float32 cannot hold of the mean.
  rest = jnp.sum(around, axis=0) / jnp.maximum(count, 1)
  around = jnp.where(counted, around - rest[None], 0.0)
  return {
    "count": count,
    "absolute": jnp.sum(jnp.abs(errors), axis=0),
    "squared": jnp.sum(jnp.square(errors), axis=0),
    "mean": mean,
    "mean_rest": rest,
    "scatter": jnp.sum(jnp.square(around), axis=0),
  }


def training_sums(
  outputs: jax.Array, targets: jax.Array, mask: jax.Array
) -> Sums:
  """Returns what every training step counts, by the arguments of `sums`.

  Returns:
    count: int32 scalar, the examples; mean_absolute_error: float32 scalar, the
    sum of the mean absolute error of each example.
  """
  errors = outputs.astype(jnp.float32) - targets.astype(jnp.float32)
  each = jnp.mean(jnp.abs(errors), axis=-1)
  return {
    "count": jnp.sum((mask > 0).astype(jnp.int32)),
    "mean_absolute_error": jnp.sum(jnp.where(mask > 0, each, 0.0)),
  }


def merge(a: Sums, b: Sums) -> Sums:
  """Returns the sums over the examples of both, on the device or the host."""
  count = a["count"] + b["count"]
  # The share of b; of 0 examples both means are 0.
  share = (b["count"] / np.maximum(count, 1))[..., None]
  distance = b["mean"] - a["mean"] + b["mean_rest"] - a["mean_rest"]
  between = np.square(distance) * share * a["count"][..., None]
  return {name: a[name] + b[name] for name in a} | {
    "mean": a["mean"] + distance * share,
    "mean_rest": a["mean_rest"],
    "scatter": a["scatter"] + b["scatter"] + between,
  }


def finish(tree: Sums) -> dict[str, float]:
  """Returns the metrics, each the mean over the numbers of an example.

  Args:
    tree: from `sums`. Other scalars may have been added, such as the sum of the
      loss: each is divided by the count.

  Returns:
    `mean_absolute_error`, `root_mean_squared_error`, `r2`, and the mean of
    every added scalar.

  Raises:
    ValueError: no example was counted.
  """
  tree = jax.tree.map(np.asarray, tree)
  metrics = evaluation.means(tree)
  return metrics | {k: float(v.mean()) for k, v in per_number(tree).items()}


def per_number(tree: Sums) -> dict[str, np.ndarray]:
  """Returns the metrics of each of the t numbers, (t,) float64.

  R^2 is 1 - squared errors / scatter of the targets. Of targets that are all
  equal it is 1 without an error and 0 with one, as scikit-learn has it.

  Args:
    tree: from `sums`, of at least one example.
  """
  tree = {name: np.asarray(each, np.float64) for name, each in tree.items()}
  squared, scatter = tree["squared"], tree["scatter"]
  varies = scatter > 0
  explained = 1 - squared / np.where(varies, scatter, 1.0)
  constant = np.where(np.isnan(squared), np.nan, squared == 0)
  return {
    "mean_absolute_error": tree["absolute"] / tree["count"],
    "root_mean_squared_error": np.sqrt(squared / tree["count"]),
    "r2": np.where(varies, explained, constant),
  }
