"""Label smoothing: calibration, tight clusters and accuracy.

  jaxvision sweep experiments/papers/smooth_labels.py \\
    --workdir runs/claims/smooth_labels --vectorize 10
  python experiments/papers/smooth_labels.py runs/claims/smooth_labels

An MLP with two layers of 128 units is trained on 1,000 and on 10,000 digits
with the smoothing 0 and 0.1, ten seeds each, for 40 epochs. The features are
the outputs of its last hidden layer for 1,000 test images. Their spread is the
mean squared distance to the mean of the class, divided by the mean squared
distance between the means of classes.

How to read the answer: paired differences over the seeds, corrected by Holm
over all, for both numbers of digits. The claim has three parts: with smoothing,
(a) the spread is smaller, (b) the expected calibration error on the test split
is smaller, and (c) the accuracy is not lower: the 95 % interval is above minus
half a point. A part is true if it is for both numbers of digits. The claim
"holds" if all parts are true, and "holds in part" if one or two are.
"""

import pathlib
from typing import Any

import arms
import claims
import numpy as np
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="With label smoothing, the features of a class are closer together, "
  "confidences are calibrated better, and the accuracy is not lower.",
  source="M\u00fcller et al. 2019, When Does Label Smoothing Help?, Figure 1 "
  "and Table 3",
  published="calibration error, CIFAR-100: 0.150 to 0.020",
  data="MNIST, 1,000 and 10,000 digits for training",
  untested="Convolutional networks. As a teacher: smoothed_teachers.py.",
)
QUESTION = "What does label smoothing change?"
BASE = small_mnist.BASE
SIZES, RATES = (1000, 10_000), (0.0, 0.1)
_DATA, _SMOOTHING = "data.train", "loss.options.label_smoothing"
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.options": {"hidden": (128, 128), "dropout": 0.0},
  "train.duration": "40 epochs",
}
SPACE = {
  _DATA: sweep.grid(*(f"train[:{size}]" for size in SIZES)),
  _SMOOTHING: sweep.grid(*RATES),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences of three measures; see the docstring."


def spread(trial: Any) -> float:
  """The spread of the features of a run, in percent."""
  import flax.linen as nn
  import jax

  from jaxvision import data, inference

  run = inference.load_run(trial.run.workdir)
  images, labels = small_mnist.digits("test", 1000)
  inputs: list[jax.Array] = []

  def note(call, args, kwargs, context):
    if isinstance(context.module, nn.Dense) and context.module.name == "head":
      inputs.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    run.model.apply(
      run.model_variables,
      data.normalize(images, run.normalization),
      train=False,
    )
  return _spread(np.asarray(inputs[0]), labels)


def _spread(features: np.ndarray, labels: np.ndarray) -> float:
  """100 times the squared distance within classes over that between them."""
  classes = np.unique(labels)
  means = np.stack([features[labels == k].mean(axis=0) for k in classes])
  within = np.mean(
    [
      ((features[labels == k] - mean) ** 2).sum(axis=1).mean()
      for k, mean in zip(classes, means, strict=True)
    ]
  )
  squares = ((means[:, None] - means[None]) ** 2).sum(axis=-1)
  between = squares[np.triu_indices(len(means), 1)].mean()
  return float(100 * within / between)


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = {arm.name: arm for arm in arms.read(workdir, _DATA, _SMOOTHING)}
  keys = [f"train[:{size}]" for size in SIZES]
  measured = {
    "spread": {
      name: [spread(trial) for trial in arm.trials] for name, arm in of.items()
    },
    "error": {
      name: [_calibration(trial) for trial in arm.trials]
      for name, arm in of.items()
    },
    "accuracy": {name: arm.test for name, arm in of.items()},
  }
  found = arms.compare(
    {
      (what, key): (each[key, RATES[1]], each[key, RATES[0]])
      for what, each in measured.items()
      for key in keys
    }
  )
  parts = (
    all(found["spread", key].is_negative for key in keys),
    all(found["error", key].is_negative for key in keys),
    all(
      found["accuracy", key].mean - found["accuracy", key].half > -0.5
      for key in keys
    ),
  )
  made, panels = claims.figure(3, width=2.6)
  for axes, (what, each) in zip(panels, measured.items(), strict=True):
    for rate in RATES:
      samples = [each[key, rate] for key in keys]
      claims.draw_means(axes, SIZES, samples, fmt="o-", label=f"{rate:g}")
    axes.set_xscale("log")
    axes.set_xlabel("digits")
    axes.set_title(f"{what}, %", fontsize=9)
  panels[0].legend(fontsize=7, title="smoothing", title_fontsize=7)
  return claims.Finding(
    ours="with minus without smoothing, for 1,000 and 10,000 digits: "
    + "; ".join(
      f"{what} {found[what, keys[0]]}, {found[what, keys[1]]}"
      for what in measured
    ),
    verdict=claims.verdict(parts),
    seeds=10,
    figure=made,
  )


def _calibration(trial: Any) -> float:
  return 100 * trial.run.result["final"]["metrics"]["calibration_error"]


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
