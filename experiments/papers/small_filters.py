"""Three layers of 3x3 filters against one of 7x7, and response normalisation.

  jaxvision sweep experiments/papers/small_filters.py \\
    --workdir runs/claims/small_filters --vectorize 10
  python experiments/papers/small_filters.py runs/claims/small_filters

A network of two stages with 8 and 16 features (networks.py) has in each stage
either three layers of 3x3 filters or one of 7x7 filters: the receptive fields
are equal. A third network has the small filters and local response
normalisation after the first layer. All are trained on 2,000 digits for 1,000
steps of 50 images by Adam with two rates, ten seeds.

How to read the answer: test accuracies at the best rate, paired differences
over the seeds, corrected by Holm. The claim has two parts: (a) the small
filters are better than the large ones, and (b) response normalisation does not
help: the upper end of the 95 % interval of its gain is below 0.3 points. It
"holds" if both are true, and "holds in part" if one is.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Three layers of 3x3 filters are better than one of 7x7 with the "
  "same receptive field; response normalisation does not help.",
  source="Simonyan and Zisserman 2015, VGG, section 2.3 and Table 3",
  published="ImageNet, top-1 error: A 29.6 %, A with response normalisation "
  "29.7 %; pairs of 3x3 are 7 % better than 5x5",
  data="MNIST, 2,000 digits for training",
  untested="Networks with more stages.",
)
QUESTION = "Are three small filters better than a large one?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "data.train": "train[:2000]",
  "data.device_transforms": ("random_crop(padding=2)",),
  "model.name": f"{pathlib.Path(__file__).parent / 'networks.py'}:Filters",
  "train.duration": "1000 steps",
}
_SMALL, _LARGE = "three of 3x3", "one of 7x7"
_RESPONSE = f"{_SMALL}, response normalisation"
SPACE = {
  "filters": sweep.grid(
    {
      _SMALL: {"model.options": {"side": 3}},
      _LARGE: {"model.options": {"side": 7}},
      _RESPONSE: {"model.options": {"side": 3, "response": True}},
    }
  ),
  arms.RATE: sweep.grid(0.001, 0.003),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences at the best rates; see the docstring."
_LITTLE = 0.3  # points


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  chosen = arms.best(arms.read(workdir, "filters"))
  test = {name: arm.test for name, arm in chosen.items()}
  found = arms.compare(
    {
      "small filters": (test[_SMALL], test[_LARGE]),
      "response normalisation": (test[_RESPONSE], test[_SMALL]),
    }
  )
  gain = found["response normalisation"]
  parts = (found["small filters"].is_positive, gain.mean + gain.half < _LITTLE)
  made, (axes,) = claims.figure()
  claims.draw_means(axes, range(len(test)), test.values(), fmt="o")
  axes.set_xticks(range(len(test)), [n.replace(", ", "\n") for n in test])
  axes.set_ylabel("test accuracy, %")
  axes.tick_params(axis="x", labelsize=7)
  return claims.Finding(
    ours=", ".join(f"{k} {each.mean():.2f} %" for k, each in test.items())
    + "; gain by "
    + ", ".join(f"{name} {each}" for name, each in found.items()),
    verdict=claims.verdict(parts),
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
