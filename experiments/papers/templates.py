"""The weights of a linear classifier are templates of its classes.

  python experiments/papers/templates.py

A linear softmax classifier and an MLP with 50 hidden ReLU units are trained on
5,000 digits of MNIST with an L2 penalty, five seeds. The template of a class is
its column of the kernel, and that of a hidden unit its column of the first
kernel. The "shape" of a class is the mean of its images minus the mean of all.
The best class of a hidden unit is the one with the largest mean output over
1,000 test images. Pixels that are black in all images are left out.

How to read the answer: correlations over the pixels. The claim has three parts:
(a) the template of each class correlates with the shape of its own class more
than with the shape of any other class, (b) each class is the best class of at
least two hidden units in the mean over the seeds, and (c) the templates of the
units of one class are not all alike: their mean correlation with each other is
below 0.9. A part is true if it is with every seed, and (b) for at least nine of
ten classes. The claim "holds" if all parts are true, and "holds in part" if one
or two are.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np
import optax
import small_mnist

CLAIM = claims.Claim(
  sentence="The weights of a linear classifier are one template of each class; "
  "a hidden layer has several.",
  source="CS231n, Linear classification and Neural networks 1",
  published="",
  data="MNIST, 5,000 digits for training",
  untested="Photographs, where templates mix poses and backgrounds.",
)
_UNITS, _CLASSES, _STEPS, _BATCH, _SEEDS = 50, 10, 1000, 100, 5
_PENALTY = 1e-3


def train(
  x: np.ndarray, labels: np.ndarray, *, units: int, seed: int, steps: int
) -> dict[str, jax.Array]:
  """Trains a linear classifier (no units) or an MLP; returns its kernels."""
  rng = np.random.default_rng(seed)
  sizes = [x.shape[1], *[units] * bool(units), _CLASSES]
  tree = {
    f"kernel {i}": jnp.asarray(
      rng.normal(0, (2 / a) ** 0.5 if units else 0.0, (a, b)), jnp.float32
    )
    for i, (a, b) in enumerate(itertools.pairwise(sizes))
  }
  tree |= {f"bias {i}": jnp.zeros(b) for i, b in enumerate(sizes[1:])}
  optimizer = optax.adam(optax.cosine_decay_schedule(0.002, steps))
  state = optimizer.init(tree)

  def value(tree, x, targets):
    logits = scores(tree, x)[-1]
    squares = sum(
      (leaf**2).sum() for k, leaf in tree.items() if k.startswith("kernel")
    )
    loss = optax.softmax_cross_entropy(logits, targets).mean()
    return loss + _PENALTY * squares

  @jax.jit
  def step(tree, state, x, targets):
    slope = jax.grad(value)(tree, x, targets)
    updates, state = optimizer.update(slope, state)
    return optax.apply_updates(tree, updates), state

  for _ in range(steps):
    rows = rng.integers(0, len(x), _BATCH)
    targets = jax.nn.one_hot(labels[rows], _CLASSES)
    tree, state = step(tree, state, jnp.asarray(x[rows]), targets)
  return tree


def scores(tree: Mapping[str, jax.Array], x: jax.Array) -> list[jax.Array]:
  """Returns the outputs of each layer; the last are the logits."""
  found, layers = [], len(tree) // 2
  for i in range(layers):
    x = x @ tree[f"kernel {i}"] + tree[f"bias {i}"][None]
    x = x if i == layers - 1 else jax.nn.relu(x)
    found.append(x)
  return found


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Correlations of the columns of (pixels, m) and (pixels, n), (m, n)."""
  a, b = ((each - each.mean(0)) / each.std(0) for each in (a, b))
  return a.T @ b / len(a)


def measure(quick: bool) -> claims.Finding:
  """Trains both networks, and compares templates and shapes."""
  count, steps = (500, 100) if quick else (5000, _STEPS)
  images, labels = _digits("train", count)
  tests, test_labels = _digits("test", 1000)
  seen = images.any(axis=0)
  mean = images.mean(axis=0)
  shapes = np.stack(
    [images[labels == k].mean(axis=0) - mean for k in range(_CLASSES)], 1
  )
  own, counts, alike, shown = [], [], [], {}
  seeds = range(1 if quick else _SEEDS)
  for seed in seeds:
    linear = train(images, labels, units=0, seed=seed, steps=steps)
    kernel = np.asarray(linear["kernel 0"])
    table = correlate(kernel[seen], shapes[seen])
    own.append(np.diag(table) - (table - 9 * np.eye(_CLASSES)).max(axis=1))
    deep = train(images, labels, units=_UNITS, seed=seed, steps=steps)
    hidden = np.asarray(scores(deep, jnp.asarray(tests))[0])
    of_class = np.stack(
      [hidden[test_labels == k].mean(axis=0) for k in range(_CLASSES)]
    )
    best = of_class.argmax(axis=0)
    counts.append(np.bincount(best, minlength=_CLASSES))
    first = np.asarray(deep["kernel 0"])
    alike.append(_alike(first[seen], best))
    shown = shown or {"linear": kernel, "hidden": first[:, np.argsort(best)]}
  several = (np.mean(counts, axis=0) >= 2).sum()
  parts = (
    all((each > 0).all() for each in own),
    several >= _CLASSES - 1,
    max(alike) < 0.9,
  )
  return claims.Finding(
    ours=f"templates nearest to their own class: "
    f"{np.mean([(each > 0).mean() for each in own]):.0%}; hidden units of a "
    f"class: {np.min(counts)} to {np.max(counts)}; their mean correlation "
    f"{np.mean(alike):.2f}",
    verdict=claims.verdict(parts),
    seeds=len(seeds),
    figure=_draw(shown),
  )


def _alike(kernels: np.ndarray, best: np.ndarray) -> float:
  """The mean correlation of different units that have one best class."""
  table = correlate(kernels, kernels)
  pairs = (best[:, None] == best[None]) & ~np.eye(len(best), dtype=bool)
  return float(table[pairs].mean())


def _digits(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
  images, labels = small_mnist.digits(split, count)
  return images.reshape(count, -1).astype(np.float32) / 255, labels


def _draw(shown: Mapping[str, np.ndarray]) -> Any:
  made, panels = claims.figure(2, width=4.5)
  for axes, (name, kernel) in zip(panels, shown.items(), strict=True):
    columns = 5 if name == "linear" else 10
    tiles = kernel.T.reshape(-1, columns, 28, 28)
    picture = tiles.transpose(0, 2, 1, 3).reshape(-1, 28 * columns)
    limit = np.abs(picture).max()
    axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_title({"linear": "classes"}.get(name, "hidden units"), fontsize=9)
    axes.axis("off")
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
