"""A student learns from a teacher's soft targets, also classes it never saw.

  python experiments/distillation.py --workdir runs/claims/dark_knowledge
  python experiments/papers/dark_knowledge.py runs/claims/dark_knowledge

experiments/distillation.py describes the networks and has the rules of its four
kinds of numbers: errors, gap, threes and few.

How to read the answer: three of these rules are about learning from a teacher:
"gap" (the student gets at least 80 % of the teacher's advantage, with every
seed), "threes" (the student that never sees a 3 knows as many as published) and
"few" (with 3 % of the labels, soft targets are better). The claim "holds" if
all three are reached, "holds in part" if one or two are, and "does not hold"
otherwise.
"""

import pathlib
import statistics
import sys

import claims

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import distillation

CLAIM = claims.Claim(
  sentence="A student that learns from a teacher's probabilities at a high "
  "temperature is nearly as good as the teacher, and knows a class that it "
  "never saw.",
  source="Hinton et al. 2015, Distilling the Knowledge in a Neural Network, "
  "section 3",
  published="test errors: teacher 67, student 146, taught student 74; 98.6 % "
  "of the threes",
  data="MNIST",
  untested="Ensembles, and speech.",
)
BEFORE = ("python experiments/distillation.py --workdir {runs}",)
_NAMES = ("teacher", "labels", "taught")


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on the finished runs."""
  rows = [distillation.train_seed(s, workdir) for s in distillation.SEEDS]
  lines = distillation.table(rows).splitlines()
  reached = {
    rule: any(text in line and line.endswith("| reached |") for line in lines)
    for rule, text in (
      ("gap", "share of the gap"),
      ("threes", "correct threes"),
      ("few", "soft targets"),
    )
  }
  made, (left, right) = claims.figure(2)
  for axes, names in ((left, _NAMES), (right, ("few hard", "few soft"))):
    for place, name in enumerate(names):
      values = [row[name] for row in rows]
      axes.plot([place] * len(values), values, "o", color=f"C{place}")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylabel("test errors of 10,000")
  threes = [100 * row["threes"] for row in rows]
  return claims.Finding(
    ours="test errors: "
    + ", ".join(
      f"{name} {statistics.mean(row[name] for row in rows):.0f}"
      for name in _NAMES
    )
    + f"; {statistics.mean(threes):.1f} % of the threes; reached: "
    + (", ".join(rule for rule, each in reached.items() if each) or "none"),
    verdict=claims.verdict(list(reached.values())),
    seeds=len(rows),
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
