"""Hinge ignores scores beyond the margin, and a zero of it is not unique.

  python experiments/papers/hinge_margin.py

The first part draws 1,000 score vectors for 10 classes. The true class leads by
more than the margin 1. Then the other scores are moved at random, but not over
the margin. The second part fits a linear classifier to 100 digits of
scikit-learn's digits until its hinge loss is zero, with full batches of SGD,
for five seeds. Then its parameters are doubled.

How to read the answer: the claim "holds" if, in the first part, the hinge loss
and its gradient are exactly zero before and after the moves, while the softmax
loss changes, and if, in the second part, the hinge loss is exactly zero for the
parameters and for their double, while their scores differ. It "holds in part"
if only one part holds, and else "does not hold".
"""

from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvision import losses

CLAIM = claims.Claim(
  sentence="The hinge loss does not see scores beyond the margin, and if W has "
  "the loss zero, 2 W has it, too. Softmax is never satisfied.",
  source="CS231n, Linear classification",
  published="",
  data="drawn scores; 100 of scikit-learn's digits",
  untested="Regularisation, which makes the solution unique.",
)
_VECTORS, _CLASSES, _DIGITS, _SEEDS, _MOST_STEPS = 1000, 10, 100, 5, 20_000


def move_scores(seed: int = 0) -> dict[str, float]:
  """Returns the largest changes when scores beyond the margin are moved."""
  rng = np.random.default_rng(seed)
  labels = jax.nn.one_hot(rng.integers(_CLASSES, size=_VECTORS), _CLASSES)
  lead = rng.uniform(1.01, 10, size=(2, _VECTORS, _CLASSES))
  before, after = (jnp.where(labels == 1, 0.0, -each) for each in lead)
  hinge, softmax = losses.create("hinge"), losses.create("softmax")
  slope = jax.grad(lambda scores: hinge(scores, labels).sum())
  return {
    "hinge": max(float(hinge(s, labels).max()) for s in (before, after)),
    "gradient": max(float(jnp.abs(slope(s)).max()) for s in (before, after)),
    "softmax": float(
      jnp.abs(softmax(before, labels) - softmax(after, labels)).min()
    ),
  }


def fit(seed: int) -> tuple[list[float], list[float]]:
  """Fits a linear classifier until its hinge loss is zero.

  Returns:
    The losses of the steps; and the losses of 0.5, 1, 2 and 4 times the fitted
    parameters.
  """
  from sklearn import datasets

  images, labels = datasets.load_digits(return_X_y=True)
  rng = np.random.default_rng(seed)
  chosen = rng.choice(len(images), _DIGITS, replace=False)
  images = jnp.asarray(images[chosen] / 16.0)
  targets = jax.nn.one_hot(labels[chosen], _CLASSES)
  hinge = losses.create("hinge")

  @jax.jit
  def value(tree):
    return hinge(images @ tree["w"] + tree["b"], targets).mean()

  tree = {
    "w": jnp.asarray(rng.normal(0, 0.01, (64, _CLASSES))),
    "b": jnp.zeros(_CLASSES),
  }
  optimizer = optax.sgd(0.1)
  state = optimizer.init(tree)

  @jax.jit
  def step(tree, state):
    loss, slope = jax.value_and_grad(value)(tree)
    updates, state = optimizer.update(slope, state)
    return optax.apply_updates(tree, updates), state, loss

  curve = []
  while len(curve) < _MOST_STEPS and (not curve or curve[-1] > 0):
    before = tree
    tree, state, loss = step(tree, state)
    curve.append(float(loss))
  scaled = [
    float(value(jax.tree.map(lambda leaf, k=k: k * leaf, before)))
    for k in (0.5, 1.0, 2.0, 4.0)
  ]
  return curve, scaled


def measure(quick: bool) -> claims.Finding:
  """Measures both parts."""
  moved = move_scores()
  first = moved["hinge"] == moved["gradient"] == 0 < moved["softmax"]
  fits = [fit(seed) for seed in range(1 if quick else _SEEDS)]
  second = all(scaled[1] == scaled[2] == 0 for _, scaled in fits)
  steps = [len(curve) for curve, _ in fits]
  return claims.Finding(
    ours=f"hinge and gradient beyond the margin: {moved['hinge']:g} and "
    f"{moved['gradient']:g}; hinge of W and 2 W: "
    f"{max(s[1] for _, s in fits):g} and {max(s[2] for _, s in fits):g} after "
    f"{min(steps):,} to {max(steps):,} steps",
    verdict=claims.verdict((first, second)),
    seeds=_SEEDS,
    figure=_draw(fits),
  )


def _draw(fits: list[tuple[list[float], list[float]]]) -> Any:
  made, (left, right) = claims.figure(2)
  for curve, scaled in fits:
    left.plot(np.maximum(curve, 1e-8), linewidth=1)
    right.plot((0.5, 1, 2, 4), scaled, "o-", linewidth=1)
  left.set_yscale("log")
  left.set_xlabel("step (zero is drawn at 1e-8)")
  left.set_ylabel("hinge loss")
  right.set_xlabel("k, for the parameters k W")
  right.set_ylabel("hinge loss")
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
