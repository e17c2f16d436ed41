"""Batch normalisation suffers when the batch of a device is small.

  jaxvision sweep experiments/papers/small_batches.py \\
    --workdir runs/claims/small_batches --vectorize 5
  python experiments/papers/small_batches.py runs/claims/small_batches

A residual network of three blocks, with 12 to 48 features (networks.py), is
trained on 1,000 digits of 14x14 pixels for 800 steps of 32 images. Batch
normalisation takes its statistics from 2, 4, 8 or 32 neighbouring images: that
is what 16, 8, 4 and 1 devices do which do not communicate. Group normalisation
with groups of 4 channels does not depend on the batch; it is used with and
without standardised weights. All have the same rate, 0.05, SGD with momentum.

How to read the answer: paired differences of test accuracies over ten seeds,
corrected by Holm. The claim has three parts: (a) batch normalisation over 2
images is worse than over 32, and the mean accuracy rises with every size, (b)
over 2 images it is worse than group normalisation, and (c) group normalisation
is better with standardised weights. It "holds" if all parts are true, and
"holds in part" if one or two are.
"""

import pathlib

import arms
import claims
import numpy as np
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Batch normalisation gets worse as the batch of a device shrinks; "
  "group normalisation does not depend on it, and is better with standardised "
  "weights.",
  source="Wu and He 2018, Group Normalization, Figure 1; Kolesnikov et al. "
  "2020, BiT, Table 4",
  published="ResNet-50, ImageNet: 2 images per GPU: batch normalisation 10.6 "
  "points worse than group normalisation; group normalisation 70.2 %, with "
  "standardised weights 76.0 %",
  data=small_mnist.HALF_DATA,
  untested="Large batches over many devices.",
)
QUESTION = "Which normalisation for small batches per device?"
BASE = small_mnist.BASE
SIZES = (2, 4, 8, 32)
_GROUPS, _STANDARDIZED = "groups", "groups, standardised weights"
OVERRIDES = {
  **small_mnist.OVERRIDES,
  **small_mnist.HALF_SIZE,
  "model.name": f"{pathlib.Path(__file__).parent / 'networks.py'}:SmallResNet",
  "optimizer.name": "sgd",
  "optimizer.options": {"momentum": 0.9},
  "optimizer.learning_rate": 0.05,
  "train.batch_size": 32,
  "train.duration": "800 steps",
}
SPACE = {
  "arm": sweep.grid(
    {
      **{
        f"batch of {size}": {"model.options": {"norm": size}} for size in SIZES
      },
      _GROUPS: {"model.options": {"norm": "group"}},
      _STANDARDIZED: {"model.options": {"norm": "group", "standardized": True}},
    }
  ),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences of the test accuracies; see the docstring."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  test = {arm.name: arm.test for arm in arms.read(workdir, "arm")}
  of_batch = [test[f"batch of {size}"] for size in SIZES]
  found = arms.compare(
    {
      "batch": (of_batch[-1], of_batch[0]),
      "groups": (test[_GROUPS], of_batch[0]),
      "weights": (test[_STANDARDIZED], test[_GROUPS]),
    }
  )
  rises = bool(np.all(np.diff([each.mean() for each in of_batch]) > 0))
  parts = (
    found["batch"].is_positive and rises,
    found["groups"].is_positive,
    found["weights"].is_positive,
  )
  made, (axes,) = claims.figure()
  label = "batch normalisation"
  claims.draw_means(axes, SIZES, of_batch, fmt="o-", label=label)
  for color, name in (("C1", _GROUPS), ("C2", _STANDARDIZED)):
    mean, half = claims.mean_and_half(test[name])
    axes.axhspan(mean - half, mean + half, color=color, alpha=0.3)
    axes.axhline(mean, color=color, label=name)
  axes.set(xscale="log", xlabel="images", ylabel="test accuracy, %")
  axes.set_xticks(SIZES, SIZES)
  axes.legend(fontsize=7)
  return claims.Finding(
    ours=", ".join(f"{k} {each.mean():.1f} %" for k, each in test.items())
    + f"; 32 minus 2 images {found['batch']}, groups minus 2 images "
    f"{found['groups']}, standardised minus plain weights {found['weights']}",
    verdict=claims.verdict(parts),
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
