"""Deeper networks of small filters are better, up to a depth.

  jaxvision sweep experiments/papers/deeper_is_better.py \\
    --workdir runs/claims/deeper_is_better --vectorize 5
  python experiments/papers/deeper_is_better.py runs/claims/deeper_is_better

VGG networks with three stages of 1, 2, 3 and 4 convolutions of 3x3 and 16, 32
and 64 features, with and without batch normalisation, are trained on 2,000
digits of 14x14 pixels for 1,000 steps, five seeds, by Adam with two rates.

How to read the answer: test accuracies at the best rate, paired differences,
corrected by Holm. The claim has two parts: (a) without batch normalisation, two
convolutions a stage are better than one, and four are not better than two (the
95 % interval of the gain is below half a point), as in Table 3 of the paper,
where the errors stop falling at 16 and 19 layers, and (b) with four
convolutions a stage, batch normalisation helps. It "holds" if both are true,
and "holds in part" if one is.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="More layers of 3x3 convolutions help, until the network is hard to "
  "train; batch normalisation moves this limit.",
  source="Simonyan and Zisserman 2015, VGG, Table 3; Ioffe and Szegedy 2015, "
  "Batch Normalization",
  published="ImageNet, top-1 error: 11 layers 29.6 %, 13 28.7 %, 16 27.0 %, 19 "
  "27.3 %",
  data="MNIST at 14 px, 2,000 digits for training",
  untested="Local response normalisation, and 7x7 against three 3x3 filters.",
)
QUESTION = "Does depth help a VGG with few digits?"
BASE = small_mnist.BASE
DEPTHS, NORMS = (1, 2, 3, 4), ("none", "batch_norm")
OVERRIDES = {
  **small_mnist.OVERRIDES,
  **small_mnist.HALF_SIZE,
  "data.train": "train[:2000]",
  "data.device_transforms": ("random_crop(padding=1)",),
  "model.name": "vgg11",
  "model.options": {
    "features": 16,
    "pool_size": 3,
    "hidden": (),
    "dropout": 0.0,
    "dense_initializer": "he_normal",
  },
  "train.duration": "1000 steps",
}
_DEPTH, _NORM = "depth", "model.options.norm"
SPACE = {
  _DEPTH: sweep.grid(
    {str(each): {"model.options.blocks": (each,) * 3} for each in DEPTHS}
  ),
  _NORM: sweep.grid(*NORMS),
  arms.RATE: sweep.grid(0.001, 0.003),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The test accuracies by the depth; see the docstring."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  chosen = arms.best(arms.read(workdir, _DEPTH, _NORM))
  test = {(int(depth), norm): arm.test for (depth, norm), arm in chosen.items()}
  plain = {depth: test[depth, "none"] for depth in DEPTHS}
  found = arms.compare(
    {
      "2 - 1": (plain[2], plain[1]),
      "4 - 2": (plain[4], plain[2]),
      "norm": (test[4, "batch_norm"], plain[4]),
    }
  )
  more = found["4 - 2"]
  parts = (
    found["2 - 1"].is_positive and more.mean + more.half < 0.5,
    found["norm"].is_positive,
  )
  made, (axes,) = claims.figure()
  for norm in NORMS:
    claims.draw_means(
      axes,
      [3 * depth for depth in DEPTHS],
      [test[depth, norm] for depth in DEPTHS],
      fmt="o-",
      label={"none": "without"}.get(norm, "with batch normalisation"),
    )
  axes.set(xlabel="convolutions", ylabel="test accuracy, %")
  axes.legend(fontsize=7)
  return claims.Finding(
    ours="3, 6, 9, 12 convolutions: "
    + "; ".join(
      f"{norm} " + ", ".join(f"{test[d, norm].mean():.1f} %" for d in DEPTHS)
      for norm in NORMS
    ),
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
