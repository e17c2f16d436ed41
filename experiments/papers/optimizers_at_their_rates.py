"""Adaptive optimizers are less sensitive to the rate; none is best by far.

  python -m jaxvision sweep experiments/optimizers.py \\
    --workdir runs/claims/optimizers_at_their_rates --vectorize 35
  python experiments/papers/optimizers_at_their_rates.py \\
    runs/claims/optimizers_at_their_rates

experiments/optimizers.py describes the sweep: nine optimizers at seven rates
each, half a decade apart, with five seeds.

How to read the answer: the claim has two parts: (a) at its best rate (by
validation), each of momentum, Nesterov, AdaGrad, RMSProp and Adam differs from
plain SGD by less than two points of test accuracy, with the whole 95 % interval
of the paired difference, and (b) the rates whose validation accuracy is within
a point of the best one span at least as many decades for RMSProp and Adam as
for SGD, and more for one of them. It "holds" if both are true, and "holds in
part" if one is.
"""

import math
import pathlib
import sys

import arms
import claims

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import optimizers

CLAIM = claims.Claim(
  sentence="At its own best rate no optimizer is best by far; adaptive ones "
  "tolerate a wider range of rates.",
  source="CS231n, Neural networks 3; Wilson et al. 2017, The Marginal Value of "
  "Adaptive Gradient Methods; Choi et al. 2019",
  published="",
  data="scikit-learn's digits, half of the training split",
  untested="Long training and large networks.",
)
BEFORE = (
  "python -m jaxvision sweep experiments/optimizers.py --workdir {runs} "
  "--vectorize 35",
)
_OTHERS = ("momentum", "nesterov", "adagrad", "rmsprop", "adam")
_POINTS = 2.0


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = optimizers.rows(workdir)
  best = optimizers.best(of)
  found = arms.compare(
    {name: (100 * best[name].test, 100 * best["sgd"].test) for name in _OTHERS}
  )
  spans = {name: _span(of, best[name]) for name in best}
  wide = [spans[name] - spans["sgd"] for name in ("rmsprop", "adam")]
  parts = (
    all(abs(d.mean) + d.half < _POINTS for d in found.values()),
    min(wide) >= 0 and max(wide) > 0,
  )
  made, (axes,) = claims.figure(width=6)
  for i, name in enumerate(best):
    own = sorted((r for r in of if r.name == name), key=lambda row: row.rate)
    errors = [100 * (1 - row.test.mean()) for row in own]
    axes.plot([r.rate for r in own], errors, ".-", color=f"C{i}", label=name)
  axes.set(
    xscale="log", yscale="log", xlabel="learning rate", ylabel="test error, %"
  )
  axes.legend(fontsize=6)
  return claims.Finding(
    ours="minus SGD, points: "
    + ", ".join(f"{name} {each}" for name, each in found.items())
    + "; decades within a point: "
    + ", ".join(f"{name} {spans[name]:.1f}" for name in ("sgd", *_OTHERS)),
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


def _span(of: list[optimizers.Row], best: optimizers.Row) -> float:
  """Decades between the outermost rates within a point of the best one."""
  near = [
    row.rate
    for row in of
    if row.name == best.name
    and row.validation.mean() > best.validation.mean() - 0.01
  ]
  return round(2 * math.log10(max(near) / min(near))) / 2


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
