"""L1 makes weights sparse, L2 spreads them.

  jaxvision sweep experiments/papers/l1_l2.py --workdir runs/claims/l1_l2 \\
    --vectorize auto
  python experiments/papers/l1_l2.py runs/claims/l1_l2

A linear classifier is trained on 1,000 digits for 3,000 steps by Adam, whose
rate falls to zero, with no penalty, with L1 and with L2, each of five
strengths, and five seeds. A weight is "small" if its absolute value is below 1
% of the largest of its class. Pixels that are black in all training images are
left out: the data say nothing about their weights.

How to read the answer: of each penalty, the strength with the best mean
validation accuracy. The claim has two parts: (a) the share of small weights is
larger with L1 than with L2, and (b) the largest weight's share of its class's
sum of absolute weights is smaller with L2 than with L1. A part is true if its
paired difference over the seeds has a corrected p below 0.05 (Holm), at the
best strengths and also if both penalties have their strongest value. The claim
"holds" if both are true, and "holds in part" if one is.
"""

import pathlib
from typing import Any

import arms
import claims
import numpy as np
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="L1 regularisation makes weights sparse, and L2 spreads them over "
  "all inputs.",
  source="CS231n, Neural networks 2 (regularisation)",
  published="",
  data=small_mnist.DATA,
  untested="Exact zeros: gradient descent does not make them, proximal methods "
  "do.",
)
QUESTION = "Are weights sparse with L1 and spread with L2?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.name": "linear",
  "model.options": {},
  "optimizer.learning_rate": 0.003,
  "train.duration": "3000 steps",
}
_STRENGTHS = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
SPACE = {
  "penalty": sweep.grid(
    {
      "none": {"loss.l1": 0.0, "loss.l2": 0.0},
      **{f"L1, {s:g}": {"loss.l1": s, "loss.l2": 0.0} for s in _STRENGTHS},
      **{f"L2, {s:g}": {"loss.l1": 0.0, "loss.l2": s} for s in _STRENGTHS},
    }
  ),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The sparsity of the weights, not the accuracy; see the docstring."
_SMALL = 0.01


def statistics(trial: Any) -> tuple[float, float]:
  """The share of small weights, and the share of the largest, in percent."""
  from jaxvision import inference

  run = inference.load_run(trial.run.workdir)
  kernel = np.abs(np.asarray(run.model_variables["params"]["head"]["kernel"]))
  seen = kernel[_seen_pixels()]
  largest = seen.max(axis=0)
  return (
    100 * float((seen < _SMALL * largest).mean()),
    100 * float((largest / seen.sum(axis=0)).mean()),
  )


def _seen_pixels() -> np.ndarray:
  images, _ = small_mnist.digits("train", 1000)
  return images.reshape(len(images), -1).any(axis=0)


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = {arm.name: arm for arm in arms.read(workdir, "penalty")}
  measured = {
    name: np.transpose([statistics(trial) for trial in arm.trials])
    for name, arm in of.items()
  }
  best = {
    kind: max(
      (name for name in of if name.startswith(kind)),
      key=lambda name: of[name].validation.mean(),
    )
    for kind in ("L1", "L2")
  }
  strongest = {kind: f"{kind}, {_STRENGTHS[-1]:g}" for kind in ("L1", "L2")}
  found = arms.compare(
    {
      (i, place): (measured[names["L1"]][i], measured[names["L2"]][i])
      for place, names in (("best", best), ("strongest", strongest))
      for i in (0, 1)
    }
  )
  parts = [
    found[i, "best"].is_positive and found[i, "strongest"].is_positive
    for i in (0, 1)
  ]
  made, (axes,) = claims.figure(width=6)
  for kind, marker in (("none", "s"), ("L1", "o"), ("L2", "^")):
    for name in (name for name in of if name.startswith(kind)):
      axes.plot(*measured[name], marker, label=f"{name}", markersize=4)
  axes.set(xlabel="small weights, %", ylabel="share of the largest weight, %")
  axes.legend(fontsize=5, ncols=2)
  return claims.Finding(
    ours="; ".join(
      f"{name}: {measured[name][0].mean():.0f} % small, the largest "
      f"{measured[name][1].mean():.1f} %, test {of[name].test.mean():.1f} %"
      for name in ("none", *best.values(), *strongest.values())
    ),
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
