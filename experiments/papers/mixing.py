"""Cutout, mixup and CutMix: accuracy and calibration.

  jaxvision sweep experiments/papers/mixing.py --workdir runs/claims/mixing \\
    --vectorize 5
  python experiments/papers/mixing.py runs/claims/mixing

A ResNet-18 with one block of 12 features in each stage is trained on 1,000
digits for 1,500 steps of 50 images with shifts of up to 2 pixels, and with
Cutout of half of the side, mixup with alpha 1, or CutMix with the probability
0.5 beside the shifts. Ten seeds; nothing is tuned.

How to read the answer: paired differences to shifts alone, corrected by Holm
over all six. The claim has two parts: (a) each of the three raises the test
accuracy, and (b) mixup and CutMix lower the expected calibration error. It
"holds" if both are true; it "holds in part" if one is, or if at least two of
the three raise the accuracy.
"""

import pathlib

import arms
import claims
import small_mnist

from jaxvision import sweep

CLAIM = claims.Claim(
  sentence="Cutout, mixup and CutMix raise the accuracy, and mixing improves "
  "the calibration.",
  source="DeVries and Taylor 2017, Cutout; Zhang et al. 2018, mixup; Yun et "
  "al. 2019, CutMix, Table 3",
  published="ImageNet, ResNet-50: 76.32 %, Cutout 77.07 %, mixup 77.42 %, "
  "CutMix 78.60 %",
  data=small_mnist.DATA,
  untested="Photographs and long training; CAM after CutMix.",
)
QUESTION = "What do Cutout, mixup and CutMix change with few digits?"
BASE = small_mnist.BASE
OVERRIDES = {
  **small_mnist.OVERRIDES,
  "model.name": "resnet18",
  "model.options": {"features": 12, "blocks": (1, 1, 1), "stem": "small"},
  "optimizer.weight_decay": 0.05,
  "optimizer.learning_rate": 0.002,
  "train.duration": "1500 steps",
}
_SHIFTS = "random_crop(padding=2)"
METHODS = {
  "Cutout": "random_cutout(14)",
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
  found = arms.compare(
    {
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
  verdict = "holds in part" if lower or raised >= 2 else "does not hold"
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
    ),
    verdict="holds" if raised == len(METHODS) and lower else verdict,
    seeds=10,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, of_sweep=True)
