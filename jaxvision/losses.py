"""Losses of classifiers, one value per example, and penalties on parameters.

A loss takes logits (b, k) and targets (b, k), which are distributions over the
classes (one-hot, smoothed or mixed). It returns (b,) float32, not reduced. The
cross-entropies and the square loss are linear in the targets: the loss of a
mixture of labels is the mixture of their losses. The hinge losses measure the
margin from the mixture of the labels' scores. Logits may have lower precision;
the loss is float32.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvision import lookup, trees
from jaxvision.lookup import ranges

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def create(name: str, **options: Any) -> Loss:
  """Returns the loss with this name, with its options bound.

  Args:
    name: a key of `LOSSES`, or "FILE.py:FUNCTION" for the user's own loss.
    **options: keyword arguments of the loss.

  Raises:
    ValueError: the name or an option is unknown.
  """
  given = dict.fromkeys(("logits", "targets"), "it comes with the batch")
  function = lookup.find(name, LOSSES, kind="loss")
  bound = lookup.bind(function, options, "loss.options", reserved=given)
  if lookup.is_own(name):
    return _checked(bound, lookup.as_written(name))
  return bound


def _checked(loss: Loss, name: str) -> Loss:
  """Wraps the user's own loss with a check of its shape."""

  def checked(logits: jax.Array, targets: jax.Array) -> jax.Array:
    losses = loss(logits, targets)
    shape = getattr(losses, "shape", None)
    if shape != logits.shape[:1]:
      raise ValueError(
        f"loss {name} returned the shape {shape} for logits {logits.shape}; "
        f"expected {logits.shape[:1]}, one number per example: do not take the "
        "mean over the batch"
      )
    return losses.astype(jnp.float32)

  return checked


def untrained(name: str, options: Mapping[str, Any], num_classes: int) -> float:
  """Returns the loss at zero logits, the expected loss before training.

  It is log C for softmax, C log 2 for sigmoid, C - 1 for hinge.
  """
  loss = create(name, **options)
  return float(loss(jnp.zeros((1, num_classes)), jnp.eye(1, num_classes))[0])


def softmax(
  logits: jax.Array,
  targets: jax.Array,
  *,
  label_smoothing: ranges.Rate = 0.0,
  smoothing_form: str = "uniform",
) -> jax.Array:
  """Softmax cross-entropy, -sum_i t_i log softmax(f)_i, in nats.

  Args:
    logits: (b, k).
    targets: (b, k), distributions.
    label_smoothing: the rate of `smooth`; 0 is off.
    smoothing_form: the form of `smooth`.

  Returns:
    (b,) float32.
  """
  targets = smooth(targets, rate=label_smoothing, form=smoothing_form)
  return optax.softmax_cross_entropy(logits.astype(jnp.float32), targets)


def sigmoid(
  logits: jax.Array,
  targets: jax.Array,
  *,
  label_smoothing: ranges.Rate = 0.0,
  smoothing_form: str = "uniform",
) -> jax.Array:
  """Sigmoid (binary) cross-entropy in nats, summed over the classes.

  It is the sum, not the mean, as in "Are we done with ImageNet?" (Beyer et al.
  2020) and big_vision. Targets may be multi-hot.

  Args:
    logits: (b, k).
    targets: (b, k) in [0, 1].
    label_smoothing: the rate of `smooth`; 0 is off.
    smoothing_form: the form of `smooth`.

  Returns:
    (b,) float32.
  """
  targets = smooth(targets, rate=label_smoothing, form=smoothing_form)
  losses = optax.sigmoid_binary_cross_entropy(
    logits.astype(jnp.float32), targets
  )
  return jnp.sum(losses, axis=-1)


def square(
  logits: jax.Array,
  targets: jax.Array,
  *,
  k: ranges.Positive = 1.0,
  M: ranges.Positive = 1.0,  # noqa: N803
) -> jax.Array:
  """Rescaled square loss on raw logits (Hui & Belkin 2021, section 2).

  For a label y of C classes: (1/C) [k (f_y - M)^2 + sum_{i != y} f_i^2]. For
  soft targets: its mean, (1/C) sum_i [t_i k (f_i - M)^2 + (1 - t_i) f_i^2].
  The paper uses k = 1, M = 15 for more than 42 classes, k = 15, M = 30 for
  ImageNet, and k = M = 1 for few classes.

  Args:
    logits: (b, C).
    targets: (b, C), distributions.
    k: weight of the true class.
    M: target value of the logit of the true class.

  Returns:
    (b,) float32.
  """
  logits = logits.astype(jnp.float32)
  true_class = k * jnp.square(logits - M)
  other_class = jnp.square(logits)
  losses = targets * true_class + (1 - targets) * other_class
  return jnp.mean(losses, axis=-1)


def hinge(
  logits: jax.Array, targets: jax.Array, *, delta: ranges.NonNegative = 1.0
) -> jax.Array:
  """Multiclass hinge loss, sum_{j != y} max(0, s_j - s_y + delta).

  The form of Weston & Watkins (1999): each class within the margin adds to the
  loss. For soft targets: sum_j (1 - t_j) max(0, s_j - sum_i t_i s_i + delta).
  (The mean over labels would need k^2 numbers per example.)

  Args:
    logits: (b, k).
    targets: (b, k), distributions.
    delta: the required margin of the true class.

  Returns:
    (b,) float32.
  """
  return jnp.sum((1 - targets) * _violations(logits, targets, delta), axis=-1)


def squared_hinge(
  logits: jax.Array, targets: jax.Array, *, delta: ranges.NonNegative = 1.0
) -> jax.Array:
  """Squared multiclass hinge, sum_{j != y} max(0, s_j - s_y + delta)^2.

  Args:
    logits: (b, k).
    targets: (b, k), distributions; soft targets as for `hinge`.
    delta: the required margin of the true class.

  Returns:
    (b,) float32.
  """
  violations = jnp.square(_violations(logits, targets, delta))
  return jnp.sum((1 - targets) * violations, axis=-1)


LOSSES: Mapping[str, Callable[..., jax.Array]] = {
  "softmax": softmax,
  "sigmoid": sigmoid,
  "square": square,
  "hinge": hinge,
  "squared_hinge": squared_hinge,
}


def smooth(targets: jax.Array, *, rate: float, form: str) -> jax.Array:
  """Label smoothing: moves a fraction of the targets to other classes.

  There are two published forms. With the rate e:
    "uniform": (1 - e) t + e / k; all classes get a part, with the true class
      (Szegedy et al. 2016, section 7; torchvision, timm and TensorFlow);
    "others": the true class keeps 1 - e, each other class gets e / (k - 1) (He
      et al. 2019, "Bag of Tricks", eq. 4).

  Args:
    targets: (b, k), distributions; soft targets are smoothed linearly.
    rate: e, in [0, 1).
    form: "uniform" or "others".

  Returns:
    (b, k), distributions.

  Raises:
    ValueError: the form is unknown, or the rate is not in [0, 1).
  """
  if not 0 <= rate < 1:
    raise ValueError(f"label smoothing {rate} is not in [0, 1); 0.1 is usual")
  num_classes = targets.shape[-1]
  if form == "uniform":
    return (1 - rate) * targets + rate / num_classes
  if form == "others":
    other = rate / max(num_classes - 1, 1)
    return (1 - rate) * targets + other * (1 - targets)
  known = ("uniform", "others")
  raise ValueError(lookup.unknown("form of label smoothing", form, known))


def penalty(params: Any, *, l1: float, l2: float, pattern: str) -> jax.Array:
  """Returns l1 sum |w| + l2 / 2 sum w^2 over the matching parameters.

  The gradient of the second term is l2 w, so l2 is the weight decay of SGD.
  (CS231n has l2 sum w^2 in its notes on linear classification, and l2 / 2 in
  its case study. For the first form, double l2 here.)

  Args:
    params: tree of arrays.
    l1: weight of the sum of absolute values.
    l2: weight of half the sum of squares.
    pattern: regular expression for complete paths, such as ".*kernel".

  Returns:
    A float32 scalar.

  Raises:
    ValueError: a weight is not zero, but the pattern matches no parameter.
  """
  total = jnp.zeros(())
  if not (l1 or l2):
    return total
  found = trees.matching(pattern, params, where="loss.penalty_on")
  for leaf in found.values():
    leaf = leaf.astype(jnp.float32)
    total += l1 * jnp.sum(jnp.abs(leaf)) + l2 / 2 * jnp.sum(jnp.square(leaf))
  return total


def _violations(
  logits: jax.Array, targets: jax.Array, delta: float
) -> jax.Array:
  """(b, k): by how much each class violates the margin."""
  logits = logits.astype(jnp.float32)
  score = jnp.sum(targets * logits, axis=-1, keepdims=True)
  return jnp.maximum(logits - score + delta, 0.0)
