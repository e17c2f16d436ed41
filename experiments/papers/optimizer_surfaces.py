"""Optimizers on a ravine, at a saddle and on a plateau.

  python experiments/papers/optimizer_surfaces.py

Three functions of two variables:

  ravine   (x^2 + 100 y^2) / 2, from (-10, 1)
  saddle   (x^2 - y^2) / 2 + y^4 / 4, from (-1, 0.001)
  plateau  1 - exp(-(x^2 + y^2) / 2), from (-4, 1), where the slope is 0.0009

Each optimizer has the rate with the fewest steps, of 25 rates from 1e-4 to 1 in
equal factors, for each surface by itself. A surface is left when the value is
within 1e-3 of the minimum, at most after 20,000 steps.

How to read the answer: the number of steps at the best rate. The claim has
three parts: (a) in the ravine, momentum (0.9) and Nesterov take at most half of
the steps of plain gradient descent, (b) at the saddle and (c) on the plateau,
the optimizers that scale each coordinate by its gradients (AdaGrad, RMSProp,
Adam) all take fewer steps than plain gradient descent. It "holds" if all parts
are true, "holds in part" if one or two are.
"""

from collections.abc import Callable, Mapping
from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np
import optax

CLAIM = claims.Claim(
  sentence="Momentum is faster in a ravine; AdaGrad, RMSProp and Adam leave "
  "saddles and plateaus sooner than gradient descent.",
  source="CS231n, Neural networks 3 (the animations of A. Radford)",
  published="",
  data="functions of two variables",
  untested="Noise of small batches; networks: experiments/optimizers.py.",
)
SURFACES: Mapping[str, tuple[Callable, tuple[float, float], float]] = {
  "ravine": (lambda x, y: (x**2 + 100 * y**2) / 2, (-10.0, 1.0), 0.0),
  "saddle": (
    lambda x, y: (x**2 - y**2) / 2 + y**4 / 4,
    (-1.0, 0.001),
    -0.25,
  ),
  "plateau": (
    lambda x, y: 1 - jnp.exp(-(x**2 + y**2) / 2),
    (-4.0, 1.0),
    0.0,
  ),
}
OPTIMIZERS: Mapping[str, Callable[[Any], optax.GradientTransformation]] = {
  "SGD": optax.sgd,
  "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
  "Nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
  "AdaGrad": lambda rate: optax.adagrad(rate, initial_accumulator_value=0.0),
  "RMSProp": lambda rate: optax.rmsprop(rate, decay=0.9),
  "Adam": optax.adam,
}
_RATES = np.geomspace(1e-4, 1, 25)
_MOST, _CLOSE = 20_000, 1e-3
_SCALED = ("AdaGrad", "RMSProp", "Adam")


def walk(surface: str, optimizer: str, rates: np.ndarray, steps: int) -> Any:
  """Returns the positions (rates, steps + 1, 2) and values (rates, steps + 1).

  Args:
    surface, optimizer: keys of SURFACES and OPTIMIZERS.
    rates: (rates,).
    steps: of each walk.
  """
  function, start, _ = SURFACES[surface]

  def value(point):
    return function(point[0], point[1])

  def of_rate(rate):
    made = OPTIMIZERS[optimizer](rate)
    point = jnp.asarray(start)

    def step(carry, _):
      point, state = carry
      updates, state = made.update(jax.grad(value)(point), state, point)
      return (optax.apply_updates(point, updates), state), (point, value(point))

    _, walked = jax.lax.scan(step, (point, made.init(point)), length=steps + 1)
    return walked

  return jax.jit(jax.vmap(of_rate))(jnp.asarray(rates))


def count_steps(values: np.ndarray, minimum: float) -> np.ndarray:
  """Returns the steps until the values stay close to the minimum, (rates,)."""
  far = ~(values < minimum + _CLOSE)  # NaN is far
  last = far.shape[1] - np.argmax(far[:, ::-1], axis=1)
  return np.where(far.any(axis=1), last, 0)


def measure(quick: bool) -> claims.Finding:
  """Walks on all surfaces with all optimizers and rates."""
  steps = 2000 if quick else _MOST
  counts: dict[str, dict[str, int]] = {}
  paths: dict[str, dict[str, np.ndarray]] = {}
  for surface, (_, _, minimum) in SURFACES.items():
    for name in OPTIMIZERS:
      points, values = walk(surface, name, _RATES, steps)
      found = count_steps(np.asarray(values), minimum)
      best = int(found.argmin())
      counts.setdefault(surface, {})[name] = int(found[best])
      paths.setdefault(surface, {})[name] = np.asarray(points[best])
  parts = (
    all(
      counts["ravine"][name] <= counts["ravine"]["SGD"] / 2
      for name in ("momentum", "Nesterov")
    ),
    *(
      all(counts[where][name] < counts[where]["SGD"] for name in _SCALED)
      for where in ("saddle", "plateau")
    ),
  )
  return claims.Finding(
    ours="; ".join(
      f"{surface}: " + ", ".join(f"{name} {n:,}" for name, n in each.items())
      for surface, each in counts.items()
    ),
    verdict=claims.verdict(parts),
    seeds=0,
    figure=_draw(paths, counts),
  )


def _draw(
  paths: Mapping[str, Mapping[str, np.ndarray]],
  counts: Mapping[str, Mapping[str, int]],
) -> Any:
  made, panels = claims.figure(3, height=3.5)
  for axes, (surface, (function, _, _)) in zip(
    panels, SURFACES.items(), strict=True
  ):
    for name, path in paths[surface].items():
      axes.plot(*path[: counts[surface][name] + 1].T, linewidth=1, label=name)
    x, y = (
      np.linspace(*bounds, 80) for bounds in (axes.get_xlim(), axes.get_ylim())
    )
    grid = np.meshgrid(x, y)
    axes.contour(x, y, function(*grid), 15, linewidths=0.4, colors="0.6")
    axes.set_title(surface, fontsize=9)
  panels[0].legend(fontsize=6)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
