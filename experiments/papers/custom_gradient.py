"""Backpropagation equals finite differences, also for custom gradients.

  python experiments/papers/custom_gradient.py

The first part compares the gradients of all activations and losses of jaxvision
with central differences at 200 random points each: activations in float64 with
the step 1e-6, losses, which compute in float32, with the step 0.01. Mish has a
gradient of its own (`jax.custom_jvp`). The second part is the tutorial of
PyTorch: y = a + b P3(c + d x), with the Legendre polynomial P3(x) = (5 x^3 - 3
x) / 2, is fitted to sin(x) on 2,000 points from -pi to pi by 2,000 steps of
gradient descent with the rate 5e-6, from a = 0, b = -1, c = 0, d = 0.3. P3 has
a gradient of its own (`jax.custom_vjp`).

How to read the answer: the error of a gradient is its largest difference
relative to the largest gradient of the function; points near a kink are left
out. The claim "holds" if all errors are below 1e-6 for activations and 1e-3 for
losses, if the fitted parameters are those of the tutorial up to 1e-3, and if
the own gradient gives the same fit as automatic differentiation. It "holds in
part" if one of the parts does.
"""

from collections.abc import Callable
from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import losses
from jaxvision.layers import activations

CLAIM = claims.Claim(
  sentence="Backpropagation computes the gradient: it equals finite "
  "differences, also where a function defines its own gradient.",
  source="CS231n, Backpropagation; PyTorch tutorial, Defining new autograd "
  "functions",
  published="b = -2.2085, d = 0.2555",
  data="random points; a sine",
  untested="Whole networks: the tests of jaxvision compare them with torch.",
)
PUBLISHED = {"a": 0.0, "b": -2.208, "c": 0.0, "d": 0.255}
_POINTS = 200
# Step of the differences, and largest relative error.
_ACTIVATION, _LOSS = (1e-6, 1e-6), (1e-2, 1e-3)
_STEPS, _RATE = 2000, 5e-6
# Losses of class scores; the others have targets of another kind.
_LOSSES = ("softmax", "sigmoid", "square", "hinge", "squared_hinge")
_LOSSES += ("softmax_focal", "sigmoid_focal")


@jax.custom_vjp
def legendre(x: jax.Array) -> jax.Array:
  """Returns the Legendre polynomial of order 3, (5 x^3 - 3 x) / 2."""
  return 0.5 * (5 * x**3 - 3 * x)


def _forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  return legendre(x), x


def _backward(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
  return (cotangent * 1.5 * (5 * x**2 - 1),)


legendre.defvjp(_forward, _backward)


def plain_legendre(x: jax.Array) -> jax.Array:
  """`legendre`, with automatic differentiation."""
  return 0.5 * (5 * x**3 - 3 * x)


def fit(polynomial: Callable) -> tuple[dict[str, float], np.ndarray]:
  """Returns the fitted parameters and the fitted curve."""
  x = jnp.linspace(-np.pi, np.pi, 2000)
  y = jnp.sin(x)

  def curve(tree):
    return tree["a"] + tree["b"] * polynomial(tree["c"] + tree["d"] * x)

  slope = jax.jit(jax.grad(lambda tree: ((curve(tree) - y) ** 2).sum()))
  tree = {"a": 0.0, "b": -1.0, "c": 0.0, "d": 0.3}
  for _ in range(_STEPS):
    gradient = slope(tree)
    tree = jax.tree.map(lambda p, g: p - _RATE * g, tree, gradient)
  return {k: float(v) for k, v in tree.items()}, np.asarray(curve(tree))


def gradient_errors() -> dict[str, float]:
  """Returns {activation or loss: relative error of its gradient}."""
  rng = np.random.default_rng(0)
  x = rng.uniform(-4, 4, _POINTS)
  # The kinks of the activations are at 0, 3 and -3.
  x = x[np.min([np.abs(x - k) for k in (0, 3, -3)], axis=0) > 1e-3]
  found = {}
  for name in activations.ACTIVATIONS:
    function = activations.create(name)
    found[name] = _error(function, x, _ACTIVATION[0])
  scores = rng.normal(0, 2, (_POINTS, 10))
  labels = jax.nn.one_hot(rng.integers(10, size=_POINTS), 10)
  for name in _LOSSES:
    function = losses.create(name)
    found[f"{name} loss"] = _error(
      lambda s, f=function: f(s, labels),
      _without_kinks(scores, labels),
      _LOSS[0],
    )
  return found


def _without_kinks(scores: np.ndarray, labels: jax.Array) -> np.ndarray:
  """Scores whose margins are not near the kink of the hinge losses."""
  own = (scores * labels).sum(-1, keepdims=True)
  step, others = 2 * _LOSS[0], np.asarray(labels) == 0
  near = (np.abs(scores - own + 1) < step) & others
  return np.where(near, scores + 3 * step, scores)


def _error(function: Callable, at: np.ndarray, step: float) -> float:
  """The largest difference of the two gradients, relative to the largest.

  Args:
    function: (n, ...) -> values whose sum has the gradient; a value depends on
      the same row of the argument.
    at: where the gradient is computed.
    step: of the differences.
  """
  exact = np.asarray(jax.grad(lambda x: function(x).sum())(jnp.asarray(at)))
  compiled, numeric = jax.jit(function), np.empty_like(at)
  for place in np.ndindex(at.shape[1:]):
    moved = []
    for sign in (1, -1):
      each = at.copy()
      each[:, *place] += sign * step
      moved.append(np.asarray(compiled(each), np.float64))
    numeric[:, *place] = (moved[0] - moved[1]) / (2 * step)
  return float(np.abs(numeric - exact).max() / np.abs(exact).max())


def measure(quick: bool) -> claims.Finding:
  """Compares the gradients and fits the sine."""
  del quick  # It takes a minute.
  with jax.enable_x64(True):
    errors = gradient_errors()
    fitted, curve = fit(legendre)
    other, _ = fit(plain_legendre)
  shares = {
    name: error / (_LOSS if name.endswith(" loss") else _ACTIVATION)[1]
    for name, error in errors.items()
  }
  worst = max(shares, key=lambda name: shares[name])
  as_published = all(
    abs(abs(fitted[key]) - abs(value)) < 1e-3
    for key, value in PUBLISHED.items()
  )
  same = all(abs(fitted[key] - other[key]) < 1e-9 for key in fitted)
  parts = (shares[worst] < 1, as_published and same)
  return claims.Finding(
    ours=f"b = {fitted['b']:.4f}, d = {fitted['d']:.4f}; largest error of "
    f"{len(errors)} gradients, as a share of the limit: {shares[worst]:.2g} "
    f"({worst})",
    verdict=claims.verdict(parts),
    seeds=0,
    figure=_draw(errors, curve),
  )


def _draw(errors: dict[str, float], curve: np.ndarray) -> Any:
  made, (left, right) = claims.figure(2)
  left.barh(list(errors), np.maximum(list(errors.values()), 1e-16))
  left.set_xscale("log")
  left.set_xlabel("relative error of the gradient")
  left.tick_params(axis="y", labelsize=5)
  x = np.linspace(-np.pi, np.pi, len(curve))
  right.plot(x, np.sin(x), label="sine")
  right.plot(x, curve, "--", label="a + b P3(c + d x)")
  right.legend(fontsize=7)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
