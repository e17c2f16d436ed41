"""Metrics of regression: errors in the units of the numbers, and R^2.

The sums of a batch contain the mean of the targets and the sum of squares
around this mean. `merge` combines two such pairs (Chan, Golub and LeVeque 1983,
equation 1.5), so R^2 is precise for numbers with a large mean. Examples with
mask 0 are not counted, for any outputs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import evaluation

Sums = dict[str, Any]


def sums(outputs: jax.Array, targets: jax.Array, mask: jax.Array) -> Sums:
  """Returns the sums of a batch for all metrics.

  Args:
    outputs: (b, t).
    targets: (b, t).
    mask: (b,), 1 for examples that count and 0 for padding.

  Returns:
    count: int32 scalar, the number of examples. For each of the t numbers,
    (t,) float32: absolute and squared, the sums of the absolute and squared
    errors; mean and mean_rest, whose sum is the mean of the targets; scatter,
    the sum of the squared deviations of the targets from their mean.
  """
  counted = (mask > 0)[:, None]
  count = jnp.sum(counted.astype(jnp.int32))
  targets = jnp.where(counted, targets.astype(jnp.float32), 0.0)
  # `where` instead of a product: NaN in the padding times 0 is NaN.
  errors = jnp.where(counted, outputs.astype(jnp.float32) - targets, 0.0)
  mean = jnp.sum(targets, axis=0) / jnp.maximum(count, 1)
  around = jnp.where(counted, targets - mean[None], 0.0)
  # The rounding error of the mean in float32.
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
  """Returns the sums of a training step; arguments as for `sums`.

  Returns:
    count: int32 scalar, the number of examples; mean_absolute_error: float32
    scalar, the sum of the mean absolute errors of the examples.
  """
  errors = outputs.astype(jnp.float32) - targets.astype(jnp.float32)
  each = jnp.mean(jnp.abs(errors), axis=-1)
  return {
    "count": jnp.sum((mask > 0).astype(jnp.int32)),
    "mean_absolute_error": jnp.sum(jnp.where(mask > 0, each, 0.0)),
  }


def merge(a: Sums, b: Sums) -> Sums:
  """Combines two results of `sums`, on the device or the host."""
  count = a["count"] + b["count"]
  # The weight of b. Without examples both means are 0.
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
    tree: from `sums`. Other scalars can be added, such as the sum of the loss:
      each is divided by the count.

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

  R^2 is 1 - squared errors / scatter of the targets. If all targets are equal,
  it is 1 without errors and 0 with errors, as in scikit-learn.

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
