"""Cutout, mixup and CutMix: accuracy, calibration, and where CAM looks.

  jaxvision sweep experiments/papers/mixing.py --workdir runs/claims/mixing \\
    --vectorize 5
  python experiments/papers/mixing.py runs/claims/mixing

A ResNet-18 with one block of 12 features in each stage is trained on 1,000
digits of 14x14 pixels for 1,500 steps of 50 images with shifts of up to one
pixel, and with Cutout of half of the side, mixup with alpha 1, or CutMix with
the probability 0.5 beside the shifts. Ten seeds; nothing is tuned.

Then CAM explains images of two halves: the left half of one test digit and the
right half of another one of a different class, 500 pairs. A pair is separated
if the map of each class has its maximum in the half of this class.

How to read the answer: paired differences to shifts alone, corrected by Holm
over all seven. The claim has three parts: (a) each of the three raises the test
accuracy, (b) mixup and CutMix lower the expected calibration error, and (c)
CutMix separates more pairs. It "holds" if all are true; it "holds in part" if
one or two are, or if at least two of the three raise the accuracy.
"""

import pathlib

import arms
import claims
import numpy as np
import small_mnist

from jaxvision import data, inference, interpret, sweep

CLAIM = claims.Claim(
  sentence="Cutout, mixup and CutMix raise the accuracy, mixing improves the "
  "calibration, and CAM separates objects better after CutMix.",
  source="DeVries and Taylor 2017, Cutout; Zhang et al. 2018, mixup; Yun et "
  "al. 2019, CutMix, Table 3 and Figure 1",
  published="ImageNet, ResNet-50: 76.32 %, Cutout 77.07 %, mixup 77.42 %, "
  "CutMix 78.60 %",
  data=small_mnist.HALF_DATA,
  untested="Photographs and long training.",
)
QUESTION = "What do Cutout, mixup and CutMix change with few digits?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  **small_mnist.HALF_SIZE,
  "model.name": "resnet18",
  "model.options": {"features": 12, "blocks": (1, 1, 1), "stem": "small"},
  "optimizer.weight_decay": 0.05,
  "optimizer.learning_rate": 0.002,
  "train.duration": "1500 steps",
}
_SHIFTS = "random_crop(padding=1)"
METHODS = {
  "Cutout": "random_cutout(7)",
  "mixup": "random_mixup(1.0)",
  "CutMix": "random_cutmix(p=0.5)",
}
SPACE = {
  "arm": sweep.grid(
    {
      "shifts": {"data.device_transforms": (_SHIFTS,)},
      **{
        name: {"data.device_transforms": (_SHIFTS, call)}
        for name, call in METHODS.items()
      },
    }
  ),
  "seed": sweep.seeds(10),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The paired differences to shifts; see the docstring."
_PAIRS = 500


def separated(folder: pathlib.Path) -> float:
  """Returns the share of the pairs that CAM separates, in percent."""
  run = inference.load_run(folder)
  images, labels = small_mnist.digits("test", 4 * _PAIRS)
  images = small_mnist.halve(images)
  left, right = np.split(np.arange(4 * _PAIRS), 2)
  differ = np.flatnonzero(labels[left] != labels[right])[:_PAIRS]
  left, right, half = left[differ], right[differ], images.shape[2] // 2
  mixed = np.concatenate(
    [images[left][:, :, :half], images[right][:, :, half:]], axis=2
  )
  seen = data.normalize(mixed, run.normalization)
  found = [
    interpret.attribute("cam", run.model, run.variables, seen, labels[side])
    for side in (left, right)
  ]
  # The columns of the maxima.
  columns = [each.max(axis=1).argmax(axis=1) for each in found]
  both = (columns[0] < half) & (columns[1] >= half)
  return 100 * float(both.mean())


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished sweep."""
  of = {arm.name: arm for arm in arms.read(workdir, "arm")}
  errors = {
    name: [
      100 * trial.run.result["final"]["metrics"]["calibration_error"]
      for trial in arm.trials
    ]
    for name, arm in of.items()
  }
  shares = {
    name: [separated(trial.run.workdir) for trial in of[name].trials]
    for name in ("shifts", "CutMix")
  }
  found = arms.compare(
    {
      "pairs": (shares["CutMix"], shares["shifts"]),
      **{
        ("accuracy", name): (of[name].test, of["shifts"].test)
        for name in METHODS
      },
      **{
        ("calibration", name): (errors[name], errors["shifts"])
        for name in METHODS
      },
    }
  )
  raised = sum(found["accuracy", name].is_positive for name in METHODS)
  lower = all(
    found["calibration", name].is_negative for name in ("mixup", "CutMix")
  )
  parts = (raised == len(METHODS), lower, found["pairs"].is_positive)
  verdict = claims.verdict(parts)
  if raised >= 2 and not any(parts):
    verdict = "holds in part"
  made, panels = claims.figure(2)
  for axes, what in zip(panels, ("accuracy", "calibration"), strict=True):
    each = [found[what, name] for name in METHODS]
    axes.errorbar(
      list(METHODS), [d.mean for d in each], [d.half for d in each], fmt="o"
    )
    axes.axhline(0, color="0.6", linewidth=1)
    axes.set_title(
      {"accuracy": "test accuracy"}.get(what, "calibration error")
      + " minus that of shifts, points",
      fontsize=8,
    )
  return claims.Finding(
    ours=f"shifts {of['shifts'].test.mean():.2f} %; "
    + "; ".join(
      f"{name} {found['accuracy', name]} (calibration error "
      f"{found['calibration', name]})"
      for name in METHODS
    )
    + f"; pairs separated by CAM: shifts {np.mean(shares['shifts']):.1f} %, "
    f"CutMix minus shifts {found['pairs']}",
    verdict=verdict,
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
