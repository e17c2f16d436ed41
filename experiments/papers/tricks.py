"""Each trick of the Bag of Tricks alone, and all together, with few digits.

  jaxvision sweep experiments/papers/tricks.py --workdir runs/claims/tricks \\
    --vectorize 5
  python experiments/papers/tricks.py runs/claims/tricks

A ResNet-18 with one block of 12 features in each stage is trained on 1,000
digits of 14x14 pixels for 800 steps of 64 images: SGD with momentum, a tenth of
the rate after one and two thirds. A trick changes one thing: warm-up over 5 %
of the steps; zero scales in the last normalisation of each block; no decay of
biases and normalisations; cosine instead of the staircase; the shortcuts of
ResNet-D; label smoothing 0.1; mixup 0.2. "all" has all of them. The rate is 0.1
for all, as in the paper, so an arm is not tuned.

How to read the answer: the test accuracy of each trick minus that of the
baseline, paired over ten seeds, corrected by Holm over all eight. The claim
"holds" if "all" is better than the baseline and at least four tricks are better
alone; it "holds in part" if "all" is better; it is "not at this scale" if "all"
is not better but the interval of its difference contains a gain of 0.5 points.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Each trick of the Bag of Tricks helps a little, and together they "
  "help a lot.",
  source="He et al. 2019, Bag of Tricks, Tables 4 to 6",
  published="ResNet-50, ImageNet: 75.87 % to 79.15 % without distillation",
  data=small_mnist.HALF_DATA,
  untested="Large batches and long training, for which the tricks were made; "
  "distillation has its own experiment.",
)
QUESTION = "Which tricks help a small ResNet with few digits?"
BASE = small_mnist.BASE
_OPTIONS = {"features": 12, "blocks": (1, 1, 1), "stem": "small"}
OVERRIDES = {
  **small_mnist.OVERRIDES,
  **small_mnist.HALF_SIZE,
  "model.name": "resnet18",
  "model.options": _OPTIONS,
  "optimizer.name": "sgd",
  "optimizer.options": {"momentum": 0.9, "nesterov": True},
  "optimizer.learning_rate": 0.1,
  "optimizer.weight_decay": 1e-4,
  "optimizer.weight_decay_rules": ((".*", 1.0),),
  "schedule.name": "staircase",
  "schedule.options": {"boundaries": (1 / 3, 2 / 3), "factor": 0.1},
  "schedule.warmup": "0 steps",
  "train.batch_size": 64,
  "train.duration": "800 steps",
}
TRICKS = {
  "warm-up": {"schedule.warmup": "5 percent"},
  "zero scales": {"model.options.zero_gamma": True},
  "no decay": {
    "optimizer.weight_decay_rules": ((".*kernel", 1.0), (".*", 0.0))
  },
  "cosine": {"schedule.name": "cosine", "schedule.options": {}},
  "ResNet-D": {"model.options.shortcut": "pool"},
  "label smoothing": {"loss.options": {"label_smoothing": 0.1}},
  "mixup": {"data.device_transforms": ("random_mixup(0.2)",)},
}
SPACE = {
  "arm": sweep.grid(
    {
      "baseline": {},
      **TRICKS,
      "all": {k: v for each in TRICKS.values() for k, v in each.items()},
    }
  ),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences to the baseline; see the docstring."
_LEAST, _GAIN = 4, 0.5


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  test = {arm.name: arm.test for arm in arms.read(workdir, "arm")}
  found = arms.compare(
    {name: (test[name], test["baseline"]) for name in (*TRICKS, "all")}
  )
  together = found["all"]
  number = sum(found[name].is_positive for name in TRICKS)
  verdict = "does not hold"
  if together.is_positive:
    verdict = "holds" if number >= _LEAST else "holds in part"
  elif together.mean + together.half > _GAIN:
    verdict = "not at this scale"
  made, (axes,) = claims.figure(width=6)
  axes.errorbar(
    [each.mean for each in found.values()],
    list(found),
    xerr=[each.half for each in found.values()],
    fmt="o",
  )
  axes.axvline(0, color="0.6", linewidth=1)
  axes.set_xlabel("gain over the baseline, points")
  return claims.Finding(
    ours=f"baseline {test['baseline'].mean():.2f} %, all {together}; better "
    f"alone: {number} of {len(TRICKS)}",
    verdict=verdict,
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
