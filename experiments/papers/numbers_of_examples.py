"""Without the bias of convolutions, networks need more examples.

  jaxvision sweep experiments/papers/numbers_of_examples.py \\
    --workdir runs/claims/numbers_of_examples --vectorize 5
  python experiments/papers/numbers_of_examples.py \\
    runs/claims/numbers_of_examples

The Mixer, the ViT and the ResNet of experiments/papers/patch_permutation.py are
trained on 100, 1,000 and 10,000 digits for 1,000 steps of 50 images, and on
55,000 for the same number of steps, with shifts of up to 2 pixels and two
rates, five seeds.

How to read the answer: test errors at the best rate of each network and number
of examples, paired over the seeds, corrected by Holm. "Behind" is the error of
the ViT (of the Mixer) divided by that of the ResNet, the mean of the logarithm
over the seeds. The claim has two parts: (a) with 100 digits, the ResNet is
better than both, and (b) the logarithm of "behind" is smaller with 55,000
digits than with 1,000, for both. It "holds" if both are true, and "holds in
part" if one is.
"""

import pathlib

import arms
import claims
import numpy as np
import patch_permutation
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="A ViT and a Mixer need more examples than a convolutional network "
  "to be as good.",
  source="Dosovitskiy et al. 2021, ViT, Figures 3 and 4; Tolstikhin et al. "
  "2021, MLP-Mixer, Figure 2",
  published="curves: BiT is ahead below about 100 million images",
  data="MNIST, 100 to 55,000 digits for training",
  untested="Large networks, and transfer after pre-training.",
)
QUESTION = "Which networks need more examples?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.options": {},
  "data.device_transforms": ("random_crop(padding=2)",),
  "optimizer.weight_decay": 0.05,
  "train.duration": "1000 steps",
}
SIZES = (100, 1000, 10_000, 55_000)
NETWORKS = patch_permutation.NETWORKS
_DATA = "data.train"
SPACE = {
  "network": sweep.grid(
    {
      name: {"model.name": model, "model.options": options}
      for name, (model, options) in NETWORKS.items()
    }
  ),
  _DATA: sweep.grid(*(f"train[:{size}]" for size in SIZES)),
  arms.RATE: sweep.grid(0.001, 0.003),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The errors of the networks by the number of examples."


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  chosen = arms.best(arms.read(workdir, "network", _DATA))
  errors = {
    (name, size): 100 - chosen[name, f"train[:{size}]"].test
    for name in NETWORKS
    for size in SIZES
  }
  others = [name for name in NETWORKS if name != "ResNet"]
  behind = {
    (name, size): np.log(errors[name, size]) - np.log(errors["ResNet", size])
    for name in others
    for size in SIZES
  }
  found = arms.compare(
    {
      **{
        ("few", name): (errors[name, 100], errors["ResNet", 100])
        for name in others
      },
      **{
        ("many", name): (behind[name, 1000], behind[name, 55_000])
        for name in others
      },
    }
  )
  parts = [
    all(found[kind, name].is_positive for name in others)
    for kind in ("few", "many")
  ]
  made, (axes,) = claims.figure()
  for name in NETWORKS:
    samples = [errors[name, size] for size in SIZES]
    claims.draw_means(axes, SIZES, samples, fmt="o-", label=name)
  axes.set(xscale="log", yscale="log", xlabel="digits", ylabel="test error, %")
  axes.legend(fontsize=7)
  return claims.Finding(
    ours="test errors, %, for 100 to 55,000 digits: "
    + "; ".join(
      f"{name} " + ", ".join(f"{errors[name, s].mean():.1f}" for s in SIZES)
      for name in NETWORKS
    ),
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
