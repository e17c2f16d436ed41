"""Multinomial logistic regression, the linear probe.

Minimises the sum of the cross-entropies plus strength / 2 times the sum of the
squared weights, biases not among them (scikit-learn's C is 1 / strength), by
Newton's method on all examples at once: the steps come from conjugate gradients
on products with the Hessian, which is never stored (Nocedal and Wright,
"Numerical Optimization", algorithm 7.1), and are halved until the objective
falls. Memory is that of the features and of a few arrays (n, num_classes).
"""

import functools
import logging
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.evaluation.probes import checks

Tree = Any

_TOLERANCE = 1e-5  # of the objective, that a step expects to gain relatively
_HALVINGS = 20
_PRODUCTS = 200  # with the Hessian, in a step


def fit(
  features: jax.Array,
  labels: jax.Array,
  *,
  num_classes: int,
  strength: float = 1.0,
  max_steps: int = 100,
) -> Tree:
  """Fits kernel and bias; a warning is logged if the steps do not suffice.

  Args:
    features: (n, d); of any scale, but strength acts on weights in its units.
    labels: (n,), integers in [0, num_classes).
    num_classes: how many classes there are, each with an example at least.
    strength: of the regularisation.
    max_steps: of Newton's method; some ten are usual.

  Returns:
    {mean (d,), kernel (d, num_classes), bias (num_classes,)}.

  Raises:
    ValueError: a class without examples, features that are not finite, labels
      outside the classes, a strength that is not positive.
  """
  checks.check(features, labels, num_classes=num_classes)
  checks.check_classes(labels, num_classes=num_classes)
  if not strength > 0:
    raise ValueError(
      f"strength is {strength}; it must be positive, or the weights of classes "
      "that can be told apart grow for ever"
    )
  tree, gain = _fit(
    features, labels, strength, num_classes=num_classes, max_steps=max_steps
  )
  if not isinstance(gain, jax.core.Tracer) and gain > _TOLERANCE:
    logging.getLogger(__name__).warning(
      "logistic regression has not converged in %d steps, of which the last "
      "gained %.1e of the objective; raise strength or max_steps",
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
  """The tree, and what the last step was to gain of the objective."""
  with jax.default_matmul_precision("highest"):
    features = features.astype(jnp.float32)
    mean = jnp.mean(features, axis=0, keepdims=True)
    # Neither changes the problem: biases are free, one scale is a unit.
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
  # log(1 + others): where these are small, log(all) loses their digits, and the
  # gradient with them.
  losses = jax.nn.softplus(jax.nn.logsumexp(others, axis=1))
  # The mean over the classes decides nothing and is 0 at the minimum; without a
  # price of its own the Hessian would be singular.
  free = sum(jnp.sum(jnp.mean(each, axis=-1) ** 2) for each in tree.values())
  weights = jnp.sum(tree["kernel"] ** 2)
  return jnp.mean(losses) + 0.5 * (strength * weights + free)


def _minimize(objective, start, max_steps):
  """Minimises a convex function by Newton's method, line search included.

  Returns:
    The minimum, and what the last step was to gain, relative to the objective:
    half of gradient' Hessian^-1 gradient, which no linear map changes.
  """

  def step(state):
    number, tree, gain = state
    value = objective(tree)
    gradient, product = jax.linearize(jax.grad(objective), tree)
    direction, _ = jax.scipy.sparse.linalg.cg(
      product,
      jax.tree.map(jnp.negative, gradient),
      # Exact directions pay only near the minimum.
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
  """Goes the largest of 1, 1/2, 1/4 ... of the way that pays (Armijo)."""
  # Near the minimum the objective differs by less than its last digits.
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
