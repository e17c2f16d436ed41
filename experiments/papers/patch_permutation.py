"""A Mixer does not mind permuted patches, and a convolutional network does.

  jaxvision sweep experiments/papers/patch_permutation.py \\
    --workdir runs/claims/patch_permutation --vectorize 5
  python experiments/papers/patch_permutation.py runs/claims/patch_permutation

A Mixer, a ViT with learned positions and a small ResNet are trained on 5,000
digits for 1,000 steps. In one half of the runs, the 49 patches of 4x4 pixels
have a fixed random permutation, and so have the pixels of each patch. The rate
of each network was chosen once on digits without permutation.

How to read the answer: the test accuracy without minus that with the
permutation, paired over five seeds, corrected by Holm. A network "does not
mind" if the whole 95 % interval is below 1 point, and "minds" if the corrected
p is below 0.05 and the mean is above 1 point. The claim "holds" if the Mixer
does not mind and the ResNet does; it "holds in part" if one of these is true.
The ViT is shown beside them.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="A Mixer does not mind a fixed permutation of patches and of the "
  "pixels within them; the accuracy of a convolutional network falls.",
  source="Tolstikhin et al. 2021, MLP-Mixer, Figure 4",
  published="ImageNet: Mixer unchanged; ResNet-50 loses 45 % with permuted "
  "pixels",
  data="MNIST, 5,000 digits for training",
  untested="A permutation of all pixels of the image.",
)
QUESTION = "Which networks mind a fixed permutation of patches?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "data.train": "train[:5000]",
  "model.options": {},
  "optimizer.weight_decay": 0.05,
  "train.duration": "1000 steps",
}
NETWORKS = {
  "Mixer": (
    "mixer_s16",
    {
      "patch_size": 4,
      "width": 64,
      "depth": 3,
      "tokens_dim": 32,
      "channels_dim": 128,
    },
  ),
  "ViT": (
    "vit_ti16",
    {
      "patch_size": 4,
      "width": 48,
      "depth": 3,
      "mlp_dim": 96,
      "num_heads": 4,
      "pool": "mean",
      "positions": "learned_patches",
    },
  ),
  "ResNet": (
    "resnet18",
    {"features": 10, "blocks": (1, 1, 1), "stem": "small"},
  ),
}
_PERMUTED = f"{pathlib.Path(__file__).parent / 'transforms.py'}"
SPACE = {
  "network": sweep.grid(
    {
      name: {"model.name": model, "model.options": options}
      for name, (model, options) in NETWORKS.items()
    }
  ),
  "images": sweep.grid(
    {
      "as they are": {},
      "permuted": {
        f"data.{role}_transforms": (f"{_PERMUTED}:permute_patches(4)",)
        for role in ("train", "eval")
      },
    }
  ),
  arms.RATE: 0.002,
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The difference of the two kinds of images for each network."
_LIMIT = 1.0  # points


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  test = {arm.name: arm.test for arm in arms.read(workdir, "network", "images")}
  found = arms.compare(
    {
      name: (test[name, "as they are"], test[name, "permuted"])
      for name in NETWORKS
    }
  )
  mixer, resnet = found["Mixer"], found["ResNet"]
  parts = (
    mixer.mean + mixer.half < _LIMIT,
    resnet.is_positive and resnet.mean > _LIMIT,
  )
  made, (axes,) = claims.figure()
  for i, images in enumerate(("as they are", "permuted")):
    for place, name in enumerate(NETWORKS):
      mean, half = claims.mean_and_half(test[name, images])
      x = place + 0.2 * i
      axes.errorbar(
        x, mean, half, fmt="o", color=f"C{i}", label=None if place else images
      )
  axes.set_xticks(range(len(NETWORKS)), NETWORKS)
  axes.set_ylabel("test accuracy, %")
  axes.legend(fontsize=7)
  return claims.Finding(
    ours="lost by the permutation, points: "
    + ", ".join(f"{name} {each}" for name, each in found.items()),
    verdict=claims.verdict(parts),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
