"""Depth, width and resolution should grow together.

  python experiments/compound_scaling.py grid runs/claims/scaling_together
  jaxvision sweep runs/claims/scaling_together/grid.py \\
    --workdir runs/claims/scaling_together/grid
  python experiments/compound_scaling.py family runs/claims/scaling_together
  jaxvision sweep runs/claims/scaling_together/comparison.py \\
    --workdir runs/claims/scaling_together/comparison
  python experiments/papers/scaling_together.py runs/claims/scaling_together

experiments/compound_scaling.py describes the networks, the grid and the family.

How to read the answer: by the rule of experiments/compound_scaling.py, five
seeds. The claim "holds" if both members, of 2 and 4 times the cost, are better
than networks of the same cost that are scaled in one dimension, "holds in part"
if one is, and is "not at this scale" if none is but none is behind either.
"""

import json
import pathlib
import sys

import claims

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import compound_figures
import compound_scaling

CLAIM = claims.Claim(
  sentence="A network that grows in depth, width and resolution together is "
  "better than one of the same cost that grows in one of them.",
  source="Tan and Le 2019, EfficientNet, Figures 3 and 8, Table 7",
  published="EfficientNet-B0, 4.6 times the cost: depth 79.0 %, width 78.9 %, "
  "resolution 79.1 %, compound 81.1 %",
  data="MNIST, 2,000 digits for training",
  untested="Large networks; more epochs for larger networks.",
)
BEFORE = (
  "python experiments/compound_scaling.py grid {runs}",
  "jaxvision sweep {runs}/grid.py --workdir {runs}/grid",
  "python experiments/compound_scaling.py family {runs}",
  "jaxvision sweep {runs}/comparison.py --workdir {runs}/comparison",
)


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on the finished comparison."""
  plan = json.loads((workdir / "comparison.json").read_text("utf-8"))
  rows = compound_scaling.read_rows(workdir / "comparison", plan)
  found = compound_figures.judge(rows)
  verdict = claims.verdict([each == "holds" for each in found.values()])
  if not any(e.startswith(("holds", "reversed")) for e in found.values()):
    verdict = "not at this scale"
  return claims.Finding(
    ours=", ".join(f"{row.label} {row.test.mean():.2%}" for row in rows)
    + "; "
    + "; ".join(f"{member} {each}" for member, each in found.items()),
    verdict=verdict,
    seeds=len(rows[0].test),
    figure=compound_figures.draw_comparison(rows),
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
