"""Overlapping pooling, response normalisation, dropout and colour noise.

  jaxvision sweep experiments/papers/alexnet_parts.py \\
    --workdir runs/claims/alexnet_parts --vectorize 10
  python experiments/papers/alexnet_parts.py runs/claims/alexnet_parts

An AlexNet of three convolutions and two hidden layers (networks.py) has all
four, or all but one: pooling of 2x2 windows, no local response normalisation,
no dropout, no noise along the components of ImageNet's colours. It is trained
on 1,000 digits of 14x14 pixels for 1,000 steps of 50 images by Adam, ten seeds.
Nothing is tuned. The digits are grey, in three channels, so the noise colours
them.

How to read the answer: the test accuracy with all four minus the accuracy
without one, paired over the seeds, corrected by Holm. The claim "holds" if each
of the four helps, "holds in part" if some do, and "does not hold" if none does.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Overlapping pooling, local response normalisation, dropout and "
  "noise of the colours each help AlexNet.",
  source="Krizhevsky et al. 2012, AlexNet, sections 3.3, 3.4, 4.1, 4.2",
  published="ImageNet, top-1 error: overlapping pooling 0.4 points less, "
  "normalisation 1.4, noise of the colours over 1; dropout: no number",
  data=small_mnist.HALF_DATA,
  untested="Photographs, where colours differ; long training.",
)
QUESTION = "Which parts of AlexNet help with few digits?"
BASE = small_mnist.BASE
_FOLDER = pathlib.Path(__file__).parent
_NOISE = f"{_FOLDER / 'transforms.py'}:random_colors(0.1)"
OVERRIDES = {
  **small_mnist.OVERRIDES,
  **small_mnist.HALF_SIZE,
  "data.channels": 3,
  "data.mean": (0.1307,) * 3,
  "data.std": (0.3081,) * 3,
  "data.device_transforms": (_NOISE,),
  "model.name": f"{_FOLDER / 'networks.py'}:SmallAlexNet",
  "model.options": {},
  "optimizer.learning_rate": 0.001,
  "train.duration": "1000 steps",
}
_ALL = "all four"
PARTS = {
  "overlapping pooling": {"model.options": {"overlapping": False}},
  "response normalisation": {"model.options": {"response": False}},
  "dropout": {"model.options": {"dropout": 0.0}},
  "noise of the colours": {"data.device_transforms": ()},
}
SPACE = {
  "without": sweep.grid({_ALL: {}, **PARTS}),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences to all four; see the docstring."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  test = {arm.name: arm.test for arm in arms.read(workdir, "without")}
  found = arms.compare({name: (test[_ALL], test[name]) for name in PARTS})
  made, (axes,) = claims.figure(width=6)
  axes.errorbar(
    list(PARTS),
    [each.mean for each in found.values()],
    [each.half for each in found.values()],
    fmt="o",
  )
  axes.axhline(0, color="0.6", linewidth=1)
  axes.set_ylabel("gain, points of test accuracy")
  axes.tick_params(axis="x", labelsize=7)
  return claims.Finding(
    ours=f"all four {test[_ALL].mean():.2f} %; gain by "
    + ", ".join(f"{name} {each}" for name, each in found.items()),
    verdict=claims.verdict([each.is_positive for each in found.values()]),
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
