"""Activations in a deep MLP, each at its own best rate.

  jaxvision sweep experiments/papers/activation_rates.py \\
    --workdir runs/claims/activation_rates --vectorize 35
  python experiments/papers/activation_rates.py runs/claims/activation_rates

An MLP with five layers of 64 units, He's initialisation, is trained on 1,000
digits by SGD with momentum 0.9 for 600 steps. There are nine activations, seven
rates and five seeds.

How to read the answer: test accuracies at the best rate of each activation,
paired differences, corrected by Holm over all statements. The claim has three
parts: (a) sigmoid is worse than all others, (b) tanh is worse than ReLU, and
(c) Mish is better than ReLU (Misra 2019: Mish is better than swish, and swish
than ReLU). A part is true if all its differences have a corrected p below 0.05.
The claim "holds" if all parts are true, and "holds in part" if one or two are.
"""

import pathlib
from typing import Any

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="In a deep network, sigmoid trains worst, ReLU is better than tanh, "
  "and Mish is better than ReLU.",
  source="CS231n, Neural networks 1; Misra 2019, Mish",
  published="CIFAR-10, SqueezeNet: ReLU 87.85 %, swish 87.99 %, Mish 88.13 %",
  data=small_mnist.DATA,
  untested="Convolutional networks with batch normalisation, as in the paper.",
)
QUESTION = "Which activation, each at its own best rate?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.options": {"hidden": (64,) * 5, "dropout": 0.0},
  "optimizer.name": "sgd",
  "optimizer.options": {"momentum": 0.9},
}
ACTIVATIONS = (
  *("sigmoid", "tanh", "relu", "leaky_relu", "elu"),
  *("selu", "gelu_erf", "swish", "mish"),
)
SPACE = {
  "model.options.activation": sweep.grid(*ACTIVATIONS),
  arms.RATE: sweep.grid(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = (
  "Each activation has the rate with the best mean validation accuracy; the "
  "docstring has the rule for the test accuracies."
)


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = arms.read(workdir, "model.options.activation")
  chosen = arms.best(of)

  def pair(a: str, b: str) -> tuple[Any, Any]:
    return chosen[a].test, chosen[b].test

  others = [name for name in ACTIVATIONS if name != "sigmoid"]
  found = arms.compare(
    {
      **{("sigmoid", name): pair(name, "sigmoid") for name in others},
      "tanh": pair("relu", "tanh"),
      "mish": pair("mish", "relu"),
    }
  )
  parts = (
    all(found["sigmoid", name].is_positive for name in others),
    found["tanh"].is_positive,
    found["mish"].is_positive,
  )
  made, (axes,) = claims.figure(width=6)
  arms.draw_rates(axes, of)
  return claims.Finding(
    ours=", ".join(f"{k} {v.test.mean():.1f} %" for k, v in chosen.items())
    + f"; ReLU minus tanh {found['tanh']}, Mish minus ReLU {found['mish']}",
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
