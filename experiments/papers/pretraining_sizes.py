"""Larger sets for pre-training need larger networks.

  jaxvision sweep experiments/papers/pretraining_sizes.py \\
    --workdir runs/claims/pretraining_sizes --vectorize 5
  python experiments/papers/pretraining_sizes.py \\
    runs/claims/pretraining_sizes

A residual network of 4 to 16 features and one of 12 to 48 (networks.py) are
pre-trained on 250, 2,500 or 25,000 digits 0 to 4, in four turns each
(turned_digits.py), for 1,500 steps of 64 images, five seeds. A logistic
regression on their features learns the digits 5 to 9 from ten examples of each
and is tested on all of their test images.

How to read the answer: test accuracies of the regression, paired over the
seeds, corrected by Holm. The claim has two parts: (a) the gain from 250 to
25,000 digits is larger for the wide network than for the narrow one, and (b)
after 25,000 digits the wide network is better. It "holds" if both are true, and
"holds in part" if one is.
"""

import pathlib

import arms
import claims
import numpy as np
import small_mnist
import turned_digits

from jaxvision import data, inference, sweep
from jaxvision.evaluation.probes import features, logistic

CLAIM = claims.Claim(
  sentence="Larger sets for pre-training need larger networks: a small network "
  "gains little from them.",
  source="Kolesnikov et al. 2020, BiT, Figure 5",
  published="",
  data="MNIST at 14 px, digits 0 to 4 in four turns, then 5 to 9",
  untested="Fine-tuning of the whole network; thousands of classes; longer "
  "pre-training for the larger sets.",
)
QUESTION = "Does a larger set for pre-training need a larger network?"
BASE = small_mnist.BASE
DIGITS, WIDTHS, _SHOTS = (250, 2500, 25_000), (4, 12), 10
_FOLDER = pathlib.Path(__file__).parent
_FILE = _FOLDER / "turned_digits.py"
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "data.kind": f"{_FILE}:old",
  "data.train": "train",
  "data.validation": "validation",
  "data.test": "",
  "data.num_classes": 20,
  "data.device_transforms": ("random_crop(padding=1)",),
  "model.name": f"{_FOLDER / 'networks.py'}:SmallResNet",
  "optimizer.learning_rate": 0.003,
  "train.batch_size": 64,
  "train.duration": "1500 steps",
}
_DATA = "data.name"
SPACE = {
  _DATA: sweep.grid(*map(str, DIGITS)),
  "network": sweep.grid(
    {str(width): {"model.options": {"width": width}} for width in WIDTHS}
  ),
  "seed": sweep.seeds(5),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The accuracy on new digits, which the script measures."


def transfer(folder: pathlib.Path, seed: int) -> float:
  """Returns the accuracy of a regression on the features of a run, percent."""
  run = inference.load_run(folder)
  source = data.Source(kind=f"{_FILE}:new", name=str(seed))
  classes = len(turned_digits.NEW)
  read = [
    features.features(
      run.model,
      run.variables,
      data.make_batches(
        data.open_dataset(source, split), batch_size=50, channels=1
      ),
      normalization=run.normalization,
      mesh=run.mesh,
    )
    for split in (f"train[:{_SHOTS * classes}]", "test")
  ]
  tree = logistic.fit(*read[0], num_classes=classes, strength=0.1)
  vectors, labels = read[1]
  answers = np.asarray(logistic.predict(tree, vectors)).argmax(axis=1)
  return 100 * float((answers == labels).mean())


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  accuracies = {
    arm.name: np.array(
      [
        transfer(trial.run.workdir, trial.settings["seed"])
        for trial in arm.trials
      ]
    )
    for arm in arms.read(workdir, _DATA, "network")
  }
  test = {(int(d), int(w)): each for (d, w), each in accuracies.items()}
  (narrow, wide), (few, *_, many) = WIDTHS, DIGITS
  gains = {width: test[many, width] - test[few, width] for width in WIDTHS}
  found = arms.compare(
    {
      "gain": (gains[wide], gains[narrow]),
      "wide": (test[many, wide], test[many, narrow]),
    }
  )
  made, (axes,) = claims.figure()
  for width in WIDTHS:
    samples = [test[count, width] for count in DIGITS]
    label = f"{width} features"
    claims.draw_means(axes, DIGITS, samples, fmt="o-", label=label)
  axes.set(
    xscale="log",
    xlabel="digits for pre-training",
    ylabel="accuracy on new digits, %",
  )
  axes.legend(fontsize=7)
  return claims.Finding(
    ours="; ".join(
      f"{width} features "
      + ", ".join(f"{test[count, width].mean():.1f} %" for count in DIGITS)
      for width in WIDTHS
    )
    + f"; gain of the wide minus that of the narrow network {found['gain']}, "
    f"wide minus narrow at the end {found['wide']}",
    verdict=claims.verdict([each.is_positive for each in found.values()]),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
