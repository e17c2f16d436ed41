"""One rule transfers a network to small and large sets without tuning.

  python experiments/papers/inputs.py
  jaxvision sweep experiments/papers/rule_of_transfer.py \\
    --workdir runs/claims/rule_of_transfer --vectorize 5
  python experiments/papers/rule_of_transfer.py runs/claims/rule_of_transfer

A residual network that is pre-trained on turned digits 0 to 4 (inputs.py) is
fine-tuned on 10, 100 or 1,000 examples of each of the digits 5 to 9. The rule
is BiT's for fewer than 20,000 examples: 500 steps, SGD with momentum, a warm-up
of 100 steps, and a tenth of the rate after 200, 300 and 400. The batch has 128
images, for which the authors give the rate 0.001. Six rates are tried for each
set, five seeds; the best one is chosen on 2,000 other images.

How to read the answer: the test accuracy at the rate of the rule minus that at
the best rate, paired over the seeds, for each of the three sets. A set is
"near" if the lower end of the 95 % interval is above -1 point. The claim has
two parts: (a) all sets are near, and (b) one of the six rates is near for all
sets, whatever it is. It "holds" if both are true, and "holds in part" if one
is.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="One rule, which only looks at the number of examples, transfers a "
  "network about as well as tuned rates.",
  source="Kolesnikov et al. 2020, BiT, section 3.3 (BiT-HyperRule)",
  published="",
  data="MNIST at 14 px, digits 0 to 4 in four turns, then 5 to 9",
  untested="Other schedules, sizes of images and mixup, which the rule also "
  "sets; more than 5,000 examples.",
)
QUESTION = "How far is one rule of transfer from tuned rates?"
_CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
BASE = f"{_CONFIGS / 'bit_transfer.py'}:5000,14x14"
EXAMPLES, RATES, RULE = (
  (10, 100, 1000),
  (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
  0.001,
)
_FOLDER = pathlib.Path(__file__).parent
OVERRIDES = {
  **{
    key: value
    for key, value in small_mnist.OVERRIDES.items()
    if key.startswith(("evaluate.", "checkpoint.", "log."))
  },
  "data.kind": f"{_FOLDER / 'turned_digits.py'}:new",
  "data.channels": 1,
  "data.train": "train",
  "data.validation": "validation",
  "data.test": "test",
  "data.num_classes": 5,
  "data.train_transforms": (),
  "data.eval_transforms": (),
  "data.device_transforms": ("random_crop(padding=1)",),
  "data.placement": "device",
  "model.name": f"{_FOLDER / 'networks.py'}:SmallResNet",
  "model.options": {"width": 12},
  "model.weights": "runs/inputs/pretrained",
  "train.batch_size": 128,
}
_COUNT, _SAMPLES, _CLASSES = "data.train", 5, 5
SPACE = {
  _COUNT: sweep.grid(*(f"train[:{_CLASSES * n}]" for n in EXAMPLES)),
  "sample": sweep.grid(
    {str(k): {"data.name": str(k), "seed": k} for k in range(_SAMPLES)}
  ),
  arms.RATE: sweep.grid(*RATES),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The rate of the rule against the best rate; see the docstring."
_NEAR = 1.0  # points


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = arms.read(workdir, _COUNT, seed="sample")
  chosen = arms.best(of)
  found = arms.compare(
    {(arm.name, arm.rate): (arm.test, chosen[arm.name].test) for arm in of}
  )
  near = {
    rate: [
      d.mean - d.half > -_NEAR
      for (_, other), d in found.items()
      if other == rate
    ]
    for rate in RATES
  }
  made, (axes,) = claims.figure()
  arms.draw_rates(axes, of)
  axes.axvline(RULE, color="0.6", linewidth=1)
  return claims.Finding(
    ours="rule minus best rate: "
    + ", ".join(
      f"{name} {found[name, RULE]} (best {best.rate:g}: "
      f"{best.test.mean():.1f} %)"
      for name, best in chosen.items()
    )
    + "; near for all: "
    + (", ".join(f"{r:g}" for r in RATES if all(near[r])) or "no rate"),
    verdict=claims.verdict((all(near[RULE]), any(map(all, near.values())))),
    seeds=_SAMPLES,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
