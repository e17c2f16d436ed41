"""Losses of labels, one value per example.

Losses for classes take logits (b, k) and targets (b, k), which are
distributions over the classes (one-hot, smoothed or mixed). They return (b,)
float32, not reduced. The cross-entropies and the square loss are linear in the
targets: the loss of a mixture of labels is the mixture of the labels' losses.
The hinges measure their margins from the mixture of the labels' scores. The
sigmoid losses also take sets of classes as targets (b, k) of 0 and 1. Losses
for numbers take outputs (b, t) and targets (b, t). Logits and outputs may have
a lower precision; the loss is float32.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvision import lookup
from jaxvision.lookup import ranges
from jaxvision.losses.label_smoothing import smooth

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


def softmax_focal(
  logits: jax.Array,
  targets: jax.Array,
  *,
  gamma: ranges.NonNegative = 2.0,
) -> jax.Array:
  """Focal loss of one class, -sum_i t_i (1 - p_i)^gamma log p_i, in nats.

  p is the softmax of the logits. This is equation 4 of Lin et al. (2017),
  "Focal Loss for Dense Object Detection", with the softmax in place of the
  sigmoid. gamma = 0 is `softmax`.

  Args:
    logits: (b, k).
    targets: (b, k), distributions.
    gamma: a larger value gives less weight to well classified examples.

  Returns:
    (b,) float32.
  """
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
  # 1 - p is inexact if p is near 1, but then the factor is nearly 0.
  factor = _power(-jnp.expm1(log_p), gamma)
  return -jnp.sum(targets * factor * log_p, axis=-1)


def sigmoid_focal(
  logits: jax.Array,
  targets: jax.Array,
  *,
  gamma: ranges.NonNegative = 2.0,
  alpha: ranges.Probability | None = 0.25,
) -> jax.Array:
  """Focal loss of a set of classes in nats, summed over the classes.

  The loss of a class is -a (1 - q)^gamma log q. If the image has the class, q
  is the probability p and a is alpha. Otherwise q is 1 - p and a is 1 - alpha.
  This is equation 5 of Lin et al. (2017). In their table 1b, gamma = 2 and
  alpha = 0.25 are the best values. If alpha is None, a is 1.

  Args:
    logits: (b, k).
    targets: (b, k) in [0, 1]; between 0 and 1, both losses are mixed.
    gamma: a larger value gives less weight to well predicted classes.
    alpha: the weight of the classes that an image has.

  Returns:
    (b,) float32.
  """
  logits = logits.astype(jnp.float32)

  def term(signed: jax.Array) -> jax.Array:
    missed = jax.nn.sigmoid(-signed)
    return -_power(missed, gamma) * jax.nn.log_sigmoid(signed)

  there, absent = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
  losses = there * targets * term(logits)
  losses += absent * (1 - targets) * term(-logits)
  return jnp.sum(losses, axis=-1)


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns (1/t) sum_i (f_i - y_i)^2, the mean over the numbers: (b,) float32.

  Args:
    outputs: (b, t).
    targets: (b, t).
  """
  return jnp.mean(jnp.square(_errors(outputs, targets)), axis=-1)


def huber(
  outputs: jax.Array, targets: jax.Array, *, delta: ranges.Positive = 1.0
) -> jax.Array:
  """Huber loss (1964), the mean over the numbers.

  An error e costs e^2 / 2 up to delta, and delta (|e| - delta / 2) beyond it.

  Args:
    outputs: (b, t).
    targets: (b, t).
    delta: the error at which the loss becomes linear.

  Returns:
    (b,) float32.
  """
  size = jnp.abs(_errors(outputs, targets))
  near = jnp.minimum(size, delta)
  return jnp.mean(0.5 * near**2 + delta * (size - near), axis=-1)


LOSSES: Mapping[str, Callable[..., jax.Array]] = {
  "softmax": softmax,
  "sigmoid": sigmoid,
  "square": square,
  "hinge": hinge,
  "squared_hinge": squared_hinge,
  "softmax_focal": softmax_focal,
  "sigmoid_focal": sigmoid_focal,
  "squared_error": squared_error,
  "huber": huber,
}
# The losses for each kind of labels, see `data.labels` of a config.
LOSSES_OF_LABELS: Mapping[str, tuple[str, ...]] = {
  "classes": (
    *("softmax", "sigmoid", "square", "hinge", "squared_hinge"),
    *("softmax_focal", "sigmoid_focal"),
  ),
  "sets": ("sigmoid", "sigmoid_focal"),
  "numbers": ("squared_error", "huber"),
}


def check_labels(name: str, labels: str) -> None:
  """Raises ValueError for a loss that does not fit the kind of the labels.

  Args:
    name: of the loss; a user-defined loss fits all labels.
    labels: "classes", "sets" or "numbers".
  """
  fitting = LOSSES_OF_LABELS[labels]
  if name in LOSSES and name not in fitting:
    raise ValueError(
      f"loss.name is {name!r}, and data.labels is {labels!r}; expected one of "
      f"{', '.join(fitting)}"
    )


def _power(base: jax.Array, exponent: float) -> jax.Array:
  """base^exponent for base >= 0, whose gradient at 0 is finite."""
  if not exponent:
    return jnp.ones_like(base)
  return jnp.maximum(base, jnp.finfo(base.dtype).tiny) ** exponent


def _errors(outputs: jax.Array, targets: jax.Array) -> jax.Array:
  return outputs.astype(jnp.float32) - targets.astype(jnp.float32)


def _violations(
  logits: jax.Array, targets: jax.Array, delta: float
) -> jax.Array:
  """(b, k) the amount by which each class violates the margin."""
  logits = logits.astype(jnp.float32)
  score = jnp.sum(targets * logits, axis=-1, keepdims=True)
  return jnp.maximum(logits - score + delta, 0.0)
