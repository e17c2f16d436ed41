"""Multinomial logistic regression, the linear probe.

The objective is the sum of the cross-entropies plus strength / 2 times the sum
of squared weights, without biases (scikit-learn's C is 1 / strength). It is
minimised by Newton's method on all examples. The steps are computed by
conjugate gradients with Hessian-vector products (Nocedal and Wright, "Numerical
Optimization", algorithm 7.1), and are halved until the objective decreases. The
memory is the features and a few arrays (n, num_classes).
"""

import functools
import logging
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.evaluation.probes import checks

Tree = Any

_TOLERANCE = 1e-5  # expected relative decrease of the objective in a step
_HALVINGS = 20
_PRODUCTS = 200  # maximum number of Hessian-vector products in a step


def fit(
  features: jax.Array,
  labels: jax.Array,
  *,
  num_classes: int,
  strength: float = 1.0,
  max_steps: int = 100,
) -> Tree:
  """Fits kernel and bias; logs a warning if it does not converge.

  Args:
    features: (n, d), of any scale; the regularisation depends on the scale.
    labels: (n,), integers in [0, num_classes).
    num_classes: number of classes; each needs at least one example.
    strength: strength of the regularisation.
    max_steps: maximum number of Newton steps; about ten are usual.

  Returns:
    {mean (d,), kernel (d, num_classes), bias (num_classes,)}.

  Raises:
    ValueError: a class has no examples, features are not finite, labels are
      outside the classes, or the strength is not positive.
  """
  checks.check(features, labels, num_classes=num_classes)
  checks.check_classes(labels, num_classes=num_classes)
  if not strength > 0:
    raise ValueError(
      f"strength is {strength}; it must be positive: without regularisation "
      "the weights of separable classes diverge"
    )
  tree, gain = _fit(
    features, labels, strength, num_classes=num_classes, max_steps=max_steps
  )
  if not isinstance(gain, jax.core.Tracer) and gain > _TOLERANCE:
    logging.getLogger(__name__).warning(
      "logistic regression has not converged in %d steps; the last step "
      "decreased the objective by %.1e; raise strength or max_steps",
      max_steps,
      gain,
    )
  return tree


def predict(tree: Tree, features: jax.Array) -> jax.Array:
  """Returns the logits (m, num_classes) of features (m, d)."""
  with jax.default_matmul_precision("highest"):
    centred = features.astype(jnp.float32) - tree["mean"][None]
    return centred @ tree["kernel"] + tree["bias"][None]


@functools.partial(jax.jit, static_argnames=("num_classes", "max_steps"))
def _fit(features, labels, strength, *, num_classes, max_steps):
  """The tree, and the expected relative decrease of the last step."""
  with jax.default_matmul_precision("highest"):
    features = features.astype(jnp.float32)
    mean = jnp.mean(features, axis=0, keepdims=True)
    # Centring and scaling do not change the problem: biases are free.
    centred = features - mean
    scale = jnp.sqrt(jnp.mean(centred**2))
    scale = jnp.where(scale > 0, scale, 1.0)
    objective = functools.partial(
      _objective, centred / scale, labels, strength / len(labels) / scale**2
    )
    start = {
      "kernel": jnp.zeros((features.shape[1], num_classes)),
      "bias": jnp.zeros(num_classes),
    }
    found, gain = _minimize(objective, start, max_steps)
  tree = {
    "mean": mean[0],
    "kernel": found["kernel"] / scale,
    "bias": found["bias"],
  }
  return tree, gain


def _objective(features, labels, strength, tree):
  """The mean cross-entropy and its regularisation."""
  logits = features @ tree["kernel"] + tree["bias"][None]
  scores = jnp.take_along_axis(logits, labels[:, None], axis=1)
  own = jnp.arange(logits.shape[1])[None] == labels[:, None]
  others = jnp.where(own, -jnp.inf, logits - scores)
  # log(1 + others): for small values, log(all) and its gradient lose precision.
  losses = jax.nn.softplus(jax.nn.logsumexp(others, axis=1))
  # The mean over classes does not affect the loss and is 0 at the minimum; this
  # term makes the Hessian non-singular.
  free = sum(jnp.sum(jnp.mean(each, axis=-1) ** 2) for each in tree.values())
  weights = jnp.sum(tree["kernel"] ** 2)
  return jnp.mean(losses) + 0.5 * (strength * weights + free)


def _minimize(objective, start, max_steps):
  """Minimises a convex function by Newton's method, line search included.

  Returns:
    The minimum, and the expected decrease of the last step relative to the
    objective: half of gradient' Hessian^-1 gradient, invariant to linear maps.
  """

  def step(state):
    number, tree, gain = state
    value = objective(tree)
    gradient, product = jax.linearize(jax.grad(objective), tree)
    direction, _ = jax.scipy.sparse.linalg.cg(
      product,
      jax.tree.map(jnp.negative, gradient),
      # Precise directions are useful only near the minimum.
      tol=jnp.minimum(0.5, gain),
      maxiter=_PRODUCTS,
    )
    descent = _inner(gradient, direction)
    tree = _search(objective, tree, direction, value, descent)
    return number + 1, tree, -0.5 * descent / value

  def unfinished(state):
    return (state[0] < max_steps) & (state[2] > _TOLERANCE)

  _, tree, gain = jax.lax.while_loop(unfinished, step, (0, start, jnp.inf))
  return tree, gain


def _search(objective, tree, direction, value, descent):
  """The largest step of 1, 1/2, 1/4, ... with enough decrease (Armijo)."""
  # Near the minimum, differences of the objective are rounding errors.
  noise = 4 * jnp.finfo(jnp.float32).eps * value

  def moved(halvings):
    way = 0.5**halvings
    return jax.tree.map(lambda a, b: a + way * b, tree, direction)

  def too_far(halvings):
    bound = value + 1e-4 * 0.5**halvings * descent + noise
    return (halvings < _HALVINGS) & ~(objective(moved(halvings)) <= bound)

  return moved(jax.lax.while_loop(too_far, lambda n: n + 1, 0))


def _inner(a: Tree, b: Tree) -> jax.Array:
  return sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)))
