"""Images of DAGAN help where there are few examples of new classes.

  python experiments/dagan.py --workdir runs/claims/generated_examples
  python experiments/papers/generated_examples.py \\
    runs/claims/generated_examples

experiments/dagan.py describes the data and the networks: DAGAN is trained on
the digits 0 to 4, and classifiers of the digits 5 to 9 on 1 to 15 examples of
each.

How to read the answer: the gain is the difference of the accuracies with and
without DAGAN, paired over ten draws, corrected by Holm over the six numbers of
examples, beside no other augmentation and beside shifts. The rule is the one of
experiments/dagan.py: in a comparison the answer is "yes" if DAGAN helps
(corrected p below 0.05) for at least four of the six numbers and hurts for
none. The claim "holds" if both answers are "yes", "holds in part" if one is,
and "does not hold" otherwise.
"""

import json
import pathlib

import arms
import claims
import numpy as np

CLAIM = claims.Claim(
  sentence="Images that a network makes of an example (DAGAN, trained on five "
  "digits) help a classifier with few examples of new digits.",
  source="Antoniou et al. 2017, Data Augmentation Generative Adversarial "
  "Networks, abstract",
  published="Omniglot: 69 % to 82 %; a reproduction: 67.1 % to 69.5 %",
  data="MNIST, 1 to 15 examples of each of five digits",
  untested="Omniglot. With 1,778 Korean syllables instead of five digits, "
  "DAGAN helps without shifts (experiments/README.md).",
)
BEFORE = ("python experiments/dagan.py --workdir {runs}",)
EXAMPLES, _DRAWS, _LEAST = (1, 2, 3, 5, 10, 15), 10, 4
PAIRS = {"alone": ("real", "dagan"), "shifts": ("shifts", "dagan, shifts")}


def read(workdir: pathlib.Path) -> dict[str, dict[int, list[float]]]:
  """Returns {method: {examples: accuracies in percent, by draw}}."""
  cells = json.loads((workdir / "accuracies.json").read_text("utf-8"))
  found: dict[str, dict[int, list[float]]] = {}
  for key, value in cells.items():
    method, count, draw = key.split("; ")[:3]
    if int(draw) < _DRAWS:
      found.setdefault(method, {}).setdefault(int(count), []).append(
        100 * value
      )
  return found


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on the finished classifiers."""
  accuracies = read(workdir)
  found = {
    name: arms.compare(
      {k: (accuracies[dagan][k], accuracies[without][k]) for k in EXAMPLES}
    )
    for name, (without, dagan) in PAIRS.items()
  }
  helps = {
    name: sum(d.is_positive for d in each.values())
    for name, each in found.items()
  }
  answers = [
    helps[name] >= _LEAST and not any(d.is_negative for d in each.values())
    for name, each in found.items()
  ]
  made, panels = claims.figure(2)
  for axes, (name, each) in zip(panels, found.items(), strict=True):
    axes.errorbar(
      np.arange(len(EXAMPLES)),
      [d.mean for d in each.values()],
      [d.half for d in each.values()],
      fmt="o",
    )
    axes.axhline(0, color="0.6", linewidth=1)
    axes.set_xticks(np.arange(len(EXAMPLES)), EXAMPLES)
    axes.set_xlabel("examples of each class")
    axes.set_title(
      {"alone": "no other augmentation"}.get(name, name), fontsize=9
    )
  panels[0].set_ylabel("gain by DAGAN, points")
  return claims.Finding(
    ours="gain with 1, 2, 3, 5, 10, 15 examples: "
    + "; ".join(
      f"{name} " + ", ".join(f"{d.mean:+.1f}" for d in each.values())
      for name, each in found.items()
    )
    + f"; significant: {helps['alone']} and {helps['shifts']} of 6",
    verdict=claims.verdict(answers),
    seeds=_DRAWS,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
