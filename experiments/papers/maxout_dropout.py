"""Do maxout units gain more from dropout than ReLU units?

  jaxvision sweep experiments/papers/maxout_dropout.py \\
    --workdir runs/claims/maxout_dropout --vectorize 25
  python experiments/papers/maxout_dropout.py runs/claims/maxout_dropout

Two layers of ReLU or maxout units (five pieces each) are trained on 1,000
digits for 2,000 steps by Adam, with and without dropout: 0.5 of the units and
0.2 of the pixels. The layers have 160 ReLU units or 60 maxout units: 153,000
and 254,000 parameters. There are five rates and five seeds.

How to read the answer: paired differences of test accuracies at the best rate
of each arm, corrected by Holm. The claim has three parts: (a) dropout helps
ReLU, (b) dropout helps maxout, and (c) maxout with dropout is better than ReLU
with dropout. A part is true if its corrected p is below 0.05. The claim "holds"
if all parts are true, and "holds in part" if one or two are.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Dropout helps, and maxout with dropout is better than ReLU with "
  "dropout.",
  source="Goodfellow et al. 2013, Maxout Networks, Table 1; Srivastava et al. "
  "2014, Dropout",
  published="MNIST without prior knowledge: maxout and dropout 0.94 %, ReLU "
  "and dropout 1.05 %",
  data=small_mnist.DATA,
  untested="60,000 digits and a bound on the norms, as in the paper.",
)
QUESTION = "Do maxout units gain more from dropout than ReLU units?"
BASE = small_mnist.BASE
OVERRIDES = {**small_mnist.OVERRIDES, "train.duration": "2000 steps"}
_NAMES = {"ReLU": ("mlp", (160, 160)), "maxout": ("maxout_mlp", (60, 60))}
_DROPOUT = {"": (0.0, 0.0), " and dropout": (0.5, 0.2)}
SPACE = {
  "arm": sweep.grid(
    {
      units + text: {
        "model.name": model,
        "model.options": {
          "hidden": hidden,
          "dropout": dropout,
          "input_dropout": of_input,
        },
      }
      for units, (model, hidden) in _NAMES.items()
      for text, (dropout, of_input) in _DROPOUT.items()
    }
  ),
  arms.RATE: sweep.grid(0.0001, 0.0003, 0.001, 0.003, 0.01),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "Each arm has its best rate; the docstring has the rule."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = arms.read(workdir, "arm")
  test = {name: arm.test for name, arm in arms.best(of).items()}
  found = arms.compare(
    {
      "ReLU": (test["ReLU and dropout"], test["ReLU"]),
      "maxout": (test["maxout and dropout"], test["maxout"]),
      "both": (test["maxout and dropout"], test["ReLU and dropout"]),
    }
  )
  made, (axes,) = claims.figure(width=6)
  arms.draw_rates(axes, of)
  return claims.Finding(
    ours=", ".join(f"{k} {v.mean():.2f} %" for k, v in test.items())
    + f"; dropout: {found['ReLU']} (ReLU), {found['maxout']} (maxout); maxout "
    f"minus ReLU, both with dropout: {found['both']}",
    verdict=claims.verdict([each.is_positive for each in found.values()]),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
