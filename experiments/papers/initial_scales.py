"""Activations and gradients vanish, explode or stay, by the initial scale.

  python experiments/papers/initial_scales.py

The demonstration of CS231n: 1,000 inputs of 500 unit Gaussians pass ten layers
of 500 units without biases. The standard deviation of each layer's outputs is
measured, and that of the gradient at its inputs, if the gradient at the top is
a unit Gaussian. The exact values are those of an infinitely wide network: with
q = s^2 N of the first layer, q' = s^2 N E[phi(sqrt(q) z)^2], computed by
Gauss-Hermite quadrature.

How to read the answer: the claim "holds" if, for each scale, (a) the mean over
ten seeds of the logarithm of the root mean square of layer ten deviates from
the exact value by less than its 95 % interval or 0.05, and (b) the order is as
stated: the small scale vanishes below 1e-5, the scale 1 saturates (more than
half of the tanh units beyond 0.99), Xavier keeps more than 0.2, and the layers
of He keep the second moment. It "holds in part" if only (b) is true.
"""

import math
from collections.abc import Callable
from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np

CLAIM = claims.Claim(
  sentence="Small initial weights make activations and gradients vanish, large "
  "ones saturate tanh; Xavier keeps the scale for tanh, and He for ReLU, with "
  "which Xavier loses a factor of 1.41 in each layer.",
  source="CS231n, Training neural networks 1; Glorot and Bengio 2010; He et "
  "al. 2015",
  published="tanh, 0.01: 0.213 in layer 1, 0.000532 in layer 5; tanh, 1.0: "
  "0.982 in all layers",
  data="Gaussian noise",
  untested="Training: experiments/papers/initialisation_training.py.",
)
_EXAMPLES, _WIDTH, _LAYERS, _SEEDS = 1000, 500, 10, 10
# name -> (activation, standard deviation of the weights)
SCALES: dict[str, tuple[Callable, float]] = {
  "tanh, 0.01": (jnp.tanh, 0.01),
  "tanh, 1.0": (jnp.tanh, 1.0),
  "tanh, Xavier": (jnp.tanh, _WIDTH**-0.5),
  "ReLU, 0.01": (jax.nn.relu, 0.01),
  "ReLU, Xavier": (jax.nn.relu, _WIDTH**-0.5),
  "ReLU, He": (jax.nn.relu, (2 / _WIDTH) ** 0.5),
}


def exact(name: str) -> list[float]:
  """Root mean squares of the layers of an infinitely wide network."""
  activation, scale = SCALES[name]
  nodes, weights = np.polynomial.hermite_e.hermegauss(201)
  weights = weights / weights.sum()
  second, found = 1.0, []
  for _ in range(_LAYERS):
    q = scale**2 * _WIDTH * second
    second = float(weights @ np.asarray(activation(math.sqrt(q) * nodes)) ** 2)
    found.append(math.sqrt(second))
  return found


def simulate(name: str, seed: int) -> dict[str, np.ndarray]:
  """Returns the statistics of the ten layers of a network.

  Returns:
    "rms" and "std" of the outputs; "gradient", the standard deviation at the
    inputs of each layer; "saturated", the share of outputs beyond 0.99; "dead",
    the share of units that are zero for all inputs.
  """
  activation, scale = SCALES[name]
  rng = np.random.default_rng(seed)
  x = jnp.asarray(rng.normal(size=(_EXAMPLES, _WIDTH)), jnp.float32)
  top = jnp.asarray(rng.normal(size=(_EXAMPLES, _WIDTH)), jnp.float32)
  matrices = [
    jnp.asarray(rng.normal(0, scale, (_WIDTH, _WIDTH)), jnp.float32)
    for _ in range(_LAYERS)
  ]
  outputs, backward = [], []
  for matrix in matrices:
    x, pull = jax.vjp(lambda x, m=matrix: activation(x @ m), x)
    outputs.append(x)
    backward.append(pull)
  gradients = []
  for pull in reversed(backward):
    (top,) = pull(top)
    gradients.append(float(top.std()))
  return {
    "rms": np.array([float(jnp.sqrt((x**2).mean())) for x in outputs]),
    "std": np.array([float(x.std()) for x in outputs]),
    "gradient": np.array(gradients[::-1]),
    "saturated": np.array([float((jnp.abs(x) > 0.99).mean()) for x in outputs]),
    "dead": np.array([float((x == 0).all(axis=0).mean()) for x in outputs]),
  }


def measure(quick: bool) -> claims.Finding:
  """Simulates all scales."""
  seeds = range(2 if quick else _SEEDS)
  found = {
    name: {
      key: np.array([each[key] for each in simulated]) for key in simulated[0]
    }
    for name in SCALES
    for simulated in [[simulate(name, seed) for seed in seeds]]
  }
  close = True
  for name, each in found.items():
    logs = np.log(each["rms"][:, -1]) - math.log(exact(name)[-1])
    mean, half = claims.mean_and_half(logs)
    close &= abs(mean) < max(half, 0.05)
  last = {
    name: float(each["std"][:, -1].mean()) for name, each in found.items()
  }
  moment = float((found["ReLU, He"]["rms"][:, -1] ** 2).mean())
  ordered = (
    last["tanh, 0.01"] < 1e-5
    and last["ReLU, 0.01"] < 1e-5
    and float(found["tanh, 1.0"]["saturated"][:, -1].mean()) > 0.5
    and last["tanh, Xavier"] > 0.2
    and abs(moment - 1) < 0.3
  )
  verdict = "holds" if close and ordered else "holds in part"
  return claims.Finding(
    ours="layer 10: "
    + ", ".join(f"{each:.3g} ({name})" for name, each in last.items()),
    verdict=verdict if ordered else "does not hold",
    seeds=len(seeds),
    figure=_draw(found),
  )


def _draw(found: dict[str, dict[str, np.ndarray]]) -> Any:
  made, (left, right) = claims.figure(2)
  layers = np.arange(1, _LAYERS + 1)
  for i, (name, each) in enumerate(found.items()):
    left.plot(layers, each["rms"].mean(axis=0), "o", color=f"C{i}", label=name)
    left.plot(layers, exact(name), "-", color=f"C{i}", linewidth=1)
    right.plot(layers, each["gradient"].mean(axis=0), "o-", color=f"C{i}")
  for axes, what in ((left, "rms of the outputs"), (right, "gradient, std")):
    axes.set_yscale("log")
    axes.set_xlabel("layer")
    axes.set_ylabel(what)
  left.legend(fontsize=6)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
