"""Softmax, hinge or square loss, each at its own best rate.

  jaxvision sweep experiments/papers/loss_rates.py \\
    --workdir runs/claims/loss_rates --vectorize 35
  python experiments/papers/loss_rates.py runs/claims/loss_rates

An MLP with two layers of 128 units is trained on 100, 1,000 and 10,000 digits
by SGD with momentum 0.9 for 600 steps, with four losses, seven rates and five
seeds. The losses are softmax cross-entropy, multi-class hinge, its square, and
the square loss of Hui and Belkin with k = M = 1, which they use for ten
classes.

How to read the answer: paired differences of test accuracies at the best rate
of each loss and size, corrected by Holm over all. "Equal" means that the whole
95 % interval of the difference is within half a point; "not worse" that it is
above minus half a point. The claim has two parts: (a) hinge and softmax are
equal for at least two of the three sizes, and (b) the square loss is not worse
than softmax for at least two of three. It "holds" if both are true, and "holds
in part" if one is. It is "not at this scale" if an interval is wider than one
point to each side for two of the three sizes, because then nothing can be said.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Softmax and hinge are about equally good, and the square loss is "
  "as good as cross-entropy at its own learning rate.",
  source="CS231n, Linear classification; Hui and Belkin 2021, Evaluation of "
  "Neural Architectures Trained with Square Loss vs Cross-Entropy",
  published="CIFAR-10: square 95.9 %, cross-entropy 96.3 %",
  data="MNIST, 100 to 10,000 digits for training",
  untested="Many classes, where the square loss is rescaled; convolutions.",
)
QUESTION = "Which loss, each at its own best rate?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.options": {"hidden": (128, 128), "dropout": 0.0},
  "optimizer.name": "sgd",
  "optimizer.options": {"momentum": 0.9},
  "train.duration": "600 steps",
}
LOSSES = ("softmax", "hinge", "squared_hinge", "square")
SIZES = (100, 1000, 10_000)
_DATA, _LOSS = "data.train", "loss.name"
SPACE = {
  _DATA: sweep.grid(*(f"train[:{size}]" for size in SIZES)),
  _LOSS: sweep.grid(*LOSSES),
  arms.RATE: sweep.grid(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = (
  "Each loss has the rate with the best mean validation accuracy; the "
  "docstring has the rule for the test accuracies."
)
_EQUAL, _WIDE = 0.5, 1.0  # points


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = arms.read(workdir, _DATA, _LOSS)
  chosen = arms.best(of)
  keys = [f"train[:{size}]" for size in SIZES]
  found = arms.compare(
    {
      (key, loss): (chosen[key, loss].test, chosen[key, "softmax"].test)
      for key in keys
      for loss in LOSSES[1:]
    }
  )
  hinge, square = (
    [found[k, name] for k in keys] for name in ("hinge", "square")
  )
  equal = sum(abs(d.mean) + d.half < _EQUAL for d in hinge)
  not_worse = sum(d.mean - d.half > -_EQUAL for d in square)
  wide = max(sum(d.half > _WIDE for d in each) for each in (hinge, square))
  verdict = claims.verdict((equal >= 2, not_worse >= 2))
  made, panels = claims.figure(3)
  for axes, key in zip(panels, keys, strict=True):
    own = [arm for arm in of if arm.name[0] == key]
    arms.draw_rates(axes, own)
    axes.set_title(f"{key[7:-1]} digits", fontsize=9)
  return claims.Finding(
    ours="minus softmax, for 100, 1,000 and 10,000 digits: "
    + "; ".join(
      f"{loss} " + ", ".join(str(found[k, loss]) for k in keys)
      for loss in LOSSES[1:]
    ),
    verdict="not at this scale"
    if wide >= 2 and verdict != "holds"
    else verdict,
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
