"""Weights of classes in a loss, for classes of different frequencies."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxvision.losses.supervised import Loss


def weighted(loss: Loss, weights: Sequence[float]) -> Loss:
  """Multiplies the loss of each example by the weight of its class.

  The loss becomes w L, where w = sum_i t_i w_i is the weight of the class. For
  mixed targets, w is the mixture of the weights. The mean over a batch is
  (1/b) sum w L, as with scikit-learn's class_weight. (torch divides by the sum
  of the weights of the batch instead. The gradient of an example then depends
  on the other examples of the batch.)

  Args:
    loss: (logits (b, k), targets (b, k)) -> (b,).
    weights: (k,), of the classes.
  """

  def of_batch(logits: jax.Array, targets: jax.Array) -> jax.Array:
    if len(weights) != targets.shape[-1]:
      raise ValueError(
        f"loss.class_weights has {len(weights)} numbers for "
        f"{targets.shape[-1]} classes; give one for each class"
      )
    factors = jnp.sum(targets * jnp.asarray(weights, jnp.float32)[None], -1)
    return factors * loss(logits, targets)

  return of_batch


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
  """Returns n / (k n_c) for each class, for n examples and k classes.

  The mean weight of the examples is 1, as for "balanced" in scikit-learn.

  Args:
    counts: n_c, the number of examples of each class.

  Raises:
    ValueError: a class has no examples.
  """
  empty = [number for number, count in enumerate(counts) if not count]
  if empty:
    raise ValueError(
      f"loss.class_weights is 'balanced', and {len(empty)} classes have no "
      f"example in the training split, such as class {empty[0]}; give numbers, "
      "or remove these classes"
    )
  total = sum(counts)
  return tuple(total / (len(counts) * count) for count in counts)
