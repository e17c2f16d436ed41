"""Positions and pooling of a ViT.

  jaxvision sweep experiments/papers/vit_positions.py \\
    --workdir runs/claims/vit_positions --vectorize 10
  python experiments/papers/vit_positions.py runs/claims/vit_positions

A ViT of three blocks with patches of 4x4 pixels is trained on 5,000 digits for
1,000 steps: with no positions, learned ones, fixed sines and cosines, and
rotary ones, each with the class token and with the mean of the tokens, five
seeds. The rate is that of experiments/papers/patch_permutation.py.

How to read the answer: paired differences of test accuracies, corrected by Holm
over all. The claim has three parts: (a) with both kinds of pooling, no
positions are worse than each kind of positions, (b) learned and fixed positions
differ by less than one point: the whole 95 % interval is within it (Dosovitskiy
et al. 2021, Table 8), and (c) the mean is not worse than the class token: the
interval is above minus half a point, with learned positions (Beyer et al. 2022:
the mean is better). It "holds" if all parts are true, and "holds in part" if
one or two are.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="A ViT needs positions, their kind matters little, and the mean of "
  "the tokens is as good as a class token.",
  source="Dosovitskiy et al. 2021, ViT, Table 8 and Figure 9; Beyer et al. "
  "2022, Better plain ViT baselines",
  published="ImageNet, 5 shots: none 61.4 %, learned 64.2 %; 90 epochs: mean "
  "76.5 %, class token 75.0 %",
  data="MNIST, 5,000 digits for training",
  untested="Longer training and many patches.",
)
QUESTION = "Which positions and which pooling of a ViT?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "data.train": "train[:5000]",
  "model.name": "vit_ti16",
  "model.options": {
    "patch_size": 4,
    "width": 48,
    "depth": 3,
    "mlp_dim": 96,
    "num_heads": 4,
  },
  "optimizer.learning_rate": 0.002,
  "optimizer.weight_decay": 0.05,
  "train.duration": "1000 steps",
}
POSITIONS = ("none", "learned", "sincos2d", "rotary")
POOLS = ("token", "mean")
SPACE = {
  "model.options.pool": sweep.grid(*POOLS),
  "model.options.positions": sweep.grid(*POSITIONS),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences of the test accuracies; see the docstring."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  keys = ("model.options.pool", "model.options.positions")
  test = {arm.name: arm.test for arm in arms.read(workdir, *keys)}
  found = arms.compare(
    {
      **{
        (pool, kind): (test[pool, kind], test[pool, "none"])
        for pool in POOLS
        for kind in POSITIONS[1:]
      },
      "kind": (test["mean", "learned"], test["mean", "sincos2d"]),
      "pool": (test["mean", "learned"], test["token", "learned"]),
    }
  )
  kind, pool = found["kind"], found["pool"]
  parts = (
    all(each.is_positive for k, each in found.items() if isinstance(k, tuple)),
    abs(kind.mean) + kind.half < 1.0,
    pool.mean - pool.half > -0.5,
  )
  made, (axes,) = claims.figure(width=5)
  for i, name in enumerate(POOLS):
    claims.draw_means(
      axes,
      [x + 0.1 * i for x in range(len(POSITIONS))],
      [test[name, each] for each in POSITIONS],
      fmt="o",
      label={"token": "class token"}.get(name, name),
    )
  axes.set_xticks(range(len(POSITIONS)), POSITIONS)
  axes.set_ylabel("test accuracy, %")
  axes.legend(fontsize=7)
  return claims.Finding(
    ours=", ".join(
      f"{each} {test['mean', each].mean():.1f} %" for each in POSITIONS
    )
    + f" with the mean; learned minus fixed {kind}; mean minus class token "
    f"{pool}",
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
