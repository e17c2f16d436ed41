"""ReLU reaches a training error sooner than tanh.

  jaxvision sweep experiments/papers/relu_speed.py \\
    --workdir runs/claims/relu_speed --vectorize 10
  python experiments/papers/relu_speed.py runs/claims/relu_speed

AlexNet with the stem for small images and few features is trained on 10,000
digits without dropout, with ReLU and with tanh, by SGD with momentum, five
rates and five seeds. The measure is the number of steps until the mean training
accuracy of ten steps is above 95 %; a run that does not reach it in 1,000 steps
counts as 1,000.

How to read the answer: each activation has the rate with the fewest mean steps.
The claim "holds" if tanh takes at least twice as many steps and the paired
difference has p < 0.05, "holds in part" if the difference has p < 0.05 only,
and "does not hold" otherwise.
"""

import pathlib
from typing import Any

import arms
import claims
import numpy as np
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="A convolutional network with ReLU reaches a training error several "
  "times sooner than with tanh.",
  source="Krizhevsky et al. 2012, AlexNet, Figure 1",
  published="CIFAR-10, 25 % training error: six times sooner",
  data="MNIST, 10,000 digits for training",
  untested="Harder data, where both take longer.",
)
QUESTION = "Does ReLU reach a training error sooner than tanh?"
BASE = small_mnist.BASE
ACTIVATIONS = ("relu", "tanh")
_KEY, _STEPS, _ACCURACY = "model.options.activation", 1000, 0.95
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "data.train": "train[:10000]",
  "model.name": "alexnet",
  "model.options": {
    "features": (16, 24, 32, 32, 32),
    "stem": "small",
    "dropout": 0.0,
    "initializer": "glorot_uniform",
  },
  "optimizer.name": "sgd",
  "optimizer.options": {"momentum": 0.9},
  "schedule.name": "constant",
  "train.duration": f"{_STEPS} steps",
  "log.every": "10 steps",
}
SPACE = {
  _KEY: sweep.grid(*ACTIVATIONS),
  arms.RATE: sweep.grid(0.003, 0.01, 0.03, 0.1, 0.3),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The steps until the training accuracy is above 95 %."


def steps_of(trial: Any) -> int:
  """The first logged step with a training accuracy above the threshold."""
  if trial.state == "failed":
    return _STEPS
  reached = (
    line["step"]
    for line in trial.run.lines
    if line.get("train/top1", 0.0) > _ACCURACY
  )
  return next(reached, _STEPS)


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  steps: dict[str, dict[float, np.ndarray]] = {}
  for arm in arms.read(workdir, _KEY):
    counts = np.array([float(steps_of(trial)) for trial in arm.trials])
    steps.setdefault(arm.name, {})[arm.rate] = counts
  best = {
    name: min(each.values(), key=lambda counts: counts.mean())
    for name, each in steps.items()
  }
  found = arms.compare({"steps": (best["tanh"], best["relu"])})["steps"]
  ratio = best["tanh"].mean() / best["relu"].mean()
  verdict = "does not hold"
  if found.is_positive:
    verdict = "holds" if ratio >= 2 else "holds in part"
  made, (axes,) = claims.figure()
  for name, each in steps.items():
    rates = sorted(each)
    axes.plot(rates, [each[rate].mean() for rate in rates], "o-", label=name)
  axes.set(xscale="log", xlabel="learning rate", ylabel="steps to 95 %")
  axes.legend(fontsize=7)
  return claims.Finding(
    ours=f"steps: ReLU {best['relu'].mean():.0f}, tanh "
    f"{best['tanh'].mean():.0f}, {ratio:.1f} times as many",
    verdict=verdict,
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
