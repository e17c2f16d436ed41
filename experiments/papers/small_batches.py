"""Batch normalisation suffers when the batch of a device is small.

  jaxvision sweep experiments/papers/small_batches.py \\
    --workdir runs/claims/small_batches --vectorize 5
  python experiments/papers/small_batches.py runs/claims/small_batches

A ResNet-18 with one block of 12 features in each stage is trained on 1,000
digits for 800 steps of 32 images. Batch normalisation takes its statistics from
2, 4, 8 or 32 neighbouring images: that is what 16, 8, 4 and 1 devices do which
do not communicate. Group normalisation with groups of 4 channels does not
depend on the batch. All have the same rate, 0.05, SGD with momentum.

How to read the answer: paired differences of test accuracies over ten seeds,
corrected by Holm. The claim has two parts: (a) batch normalisation over 2
images is worse than over 32, and the mean accuracy rises with every size, and
(b) over 2 images it is worse than group normalisation. It "holds" if both parts
are true, "holds in part" if one is.
"""

import pathlib

import arms
import claims
import numpy as np
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Batch normalisation gets worse as the batch of a device shrinks, "
  "and group normalisation does not depend on it.",
  source="Kolesnikov et al. 2020, BiT, Table 4; Wu and He 2018, Group "
  "Normalization, Figure 1",
  published="ResNet-50, ImageNet, 2 images per GPU: batch normalisation 10.6 "
  "points worse than group normalisation",
  data=small_mnist.DATA,
  untested="Weight standardisation, which BiT adds.",
)
QUESTION = "Which normalisation for small batches per device?"
BASE = small_mnist.BASE
SIZES = (2, 4, 8, 32)
_GROUPS = "group_norm(4)"
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.name": "resnet18",
  "model.options": {"features": 12, "blocks": (1, 1, 1), "stem": "small"},
  "optimizer.name": "sgd",
  "optimizer.options": {"momentum": 0.9},
  "optimizer.learning_rate": 0.05,
  "train.batch_size": 32,
  "train.duration": "800 steps",
}
SPACE = {
  "model.options.norm": sweep.grid(
    *(f"ghost_batch_norm({size})" for size in SIZES), _GROUPS
  ),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences of the test accuracies; see the docstring."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  read = arms.read(workdir, "model.options.norm")
  test = {arm.name: arm.test for arm in read}
  of_batch = [test[f"ghost_batch_norm({size})"] for size in SIZES]
  found = arms.compare(
    {
      "batch": (of_batch[-1], of_batch[0]),
      "groups": (test[_GROUPS], of_batch[0]),
    }
  )
  rises = bool(np.all(np.diff([each.mean() for each in of_batch]) > 0))
  parts = (found["batch"].is_positive and rises, found["groups"].is_positive)
  made, (axes,) = claims.figure()
  means, halves = zip(*map(claims.mean_and_half, of_batch), strict=True)
  axes.errorbar(SIZES, means, halves, fmt="o-", label="batch normalisation")
  mean, half = claims.mean_and_half(test[_GROUPS])
  axes.axhspan(mean - half, mean + half, color="C1", alpha=0.3)
  axes.axhline(mean, color="C1", label="group normalisation")
  axes.set(xscale="log", xlabel="images", ylabel="test accuracy, %")
  axes.set_xticks(SIZES, SIZES)
  axes.legend(fontsize=7)
  return claims.Finding(
    ours=", ".join(
      f"{size}: {each.mean():.1f} %"
      for size, each in zip(SIZES, of_batch, strict=True)
    )
    + f" images; groups {mean:.1f} %; 32 minus 2 images {found['batch']}, "
    f"groups minus 2 images {found['groups']}",
    verdict=claims.verdict(parts),
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
