"""A squared error behind a sigmoid learns slowly where it is most wrong.

  python experiments/papers/saturated_neuron.py

Nielsen's experiment with one neuron: the input is 1, the target is 0, and the
output is sigmoid(w x + b). It starts from w = 0.6, b = 0.9 and from w = b = 2,
where the output is 0.98. The squared error, (y - a)^2 / 2, takes 300 steps of
gradient descent with the rate 0.15. Cross-entropy takes 300 steps with 0.005,
the rate of the book. The second part computes both gradients over all outputs,
and checks cross-entropy = entropy + KL divergence for 1,000 random pairs of
distributions.

How to read the answer: "slow" is the number of steps until the output is below
half of its start. The claim "holds" if (a) the outputs after 300 steps of the
squared error are those of the book, rounded to two digits, (b) the squared
error is slower from the bad start than from the good one, and cross-entropy is
not, relative to the distance: its gradient with respect to the score is the
error, a - y, up to rounding, and (c) the identity is exact up to 1e-6. It
"holds in part" if two of three are true.
"""

from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np

CLAIM = claims.Claim(
  sentence="The gradient of a squared error vanishes where a sigmoid is "
  "saturated, and that of cross-entropy does not; cross-entropy is the KL "
  "divergence plus a constant.",
  source="Nielsen, Neural Networks and Deep Learning, chapter 3",
  published="outputs after 300 steps: 0.09 and 0.20",
  data="one neuron",
  untested="Deep networks, where other layers saturate, too.",
)
STARTS = {"good start": (0.6, 0.9), "bad start": (2.0, 2.0)}
PUBLISHED = {"good start": 0.09, "bad start": 0.20}
RATES = {"squared error": 0.15, "cross-entropy": 0.005}
_STEPS = 300


def cost(name: str, score: jax.Array, target: float = 0.0) -> jax.Array:
  """Returns the cost of the output sigmoid(score)."""
  output = jax.nn.sigmoid(score)
  if name == "squared error":
    return 0.5 * (output - target) ** 2
  return jax.nn.softplus(score) - target * score


def learn(name: str, start: tuple[float, float], steps: int) -> list[float]:
  """Returns the outputs before each step and after the last one."""
  slope = jax.jit(jax.grad(lambda wb: cost(name, wb[0] + wb[1])))
  wb, outputs = jnp.asarray(start), []
  for _ in range(steps + 1):
    outputs.append(float(jax.nn.sigmoid(wb[0] + wb[1])))
    wb = wb - RATES[name] * slope(wb)
  return outputs


def divergence_error(seed: int = 0) -> float:
  """The largest error of cross-entropy = entropy + KL divergence."""
  rng = np.random.default_rng(seed)
  p, q = (rng.dirichlet(np.ones(10), size=1000) for _ in range(2))
  crossed, entropy = -(p * np.log(q)).sum(1), -(p * np.log(p)).sum(1)
  divergence = (p * np.log(p / q)).sum(1)
  return float(np.abs(crossed - entropy - divergence).max())


def measure(quick: bool) -> claims.Finding:
  """Trains the neuron with both costs."""
  del quick  # It takes seconds.
  curves = {
    (name, where): learn(name, start, _STEPS)
    for name in RATES
    for where, start in STARTS.items()
  }
  found = {where: curves["squared error", where][-1] for where in STARTS}
  as_published = all(round(found[w], 2) == PUBLISHED[w] for w in STARTS)
  slow = [_half_time(curves["squared error", where]) for where in STARTS]
  scores = jnp.linspace(-8, 8, 161)
  slopes = {
    name: jax.vmap(jax.grad(lambda s, n=name: cost(n, s)))(scores)
    for name in RATES
  }
  error = jnp.abs(slopes["cross-entropy"] - jax.nn.sigmoid(scores)).max()
  parts = (
    as_published,
    slow[1] > slow[0] and float(error) < 1e-6,
    divergence_error() < 1e-6,
  )
  verdicts = {3: "holds", 2: "holds in part"}
  return claims.Finding(
    ours=", ".join(f"{found[w]:.3f} ({w})" for w in STARTS)
    + f"; steps to half of the start: {slow[0]} and {slow[1]}",
    verdict=verdicts.get(sum(parts), "does not hold"),
    seeds=0,
    figure=_draw(curves, scores, slopes),
  )


def _half_time(outputs: list[float]) -> int:
  below = [i for i, a in enumerate(outputs) if a < outputs[0] / 2]
  return below[0] if below else len(outputs)


def _draw(curves: Any, scores: jax.Array, slopes: Any) -> Any:
  made, (left, right) = claims.figure(2)
  for (name, where), outputs in curves.items():
    style = "-" if where == "good start" else "--"
    colour = "C0" if name == "squared error" else "C1"
    left.plot(outputs, style, color=colour, label=f"{name}, {where}")
  left.set_xlabel("step")
  left.set_ylabel("output (target 0)")
  left.legend(fontsize=7)
  for name, each in slopes.items():
    right.plot(jax.nn.sigmoid(scores), each, label=name)
  right.set_xlabel("output (target 0)")
  right.set_ylabel("gradient of the score")
  right.legend(fontsize=7)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
