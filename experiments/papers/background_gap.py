"""Networks rely on backgrounds, and training on random ones reduces it.

  python experiments/papers/inputs.py
  python experiments/backgrounds.py --pictures runs/inputs/pictures \\
    --weights runs/inputs/efficientnet-lite0-57934424.pth \\
    --workdir runs/claims/background_gap
  python experiments/papers/background_gap.py runs/claims/background_gap

experiments/backgrounds.py describes the scenes, the eight variants and the two
networks.

How to read the answer: the numbers and the rule of experiments/backgrounds.py,
five seeds, for the fine-tuned network and the one from scratch: the gap between
Mixed-Same and Mixed-Rand, how much of it the training on Mixed-Rand closes, the
accuracy from backgrounds alone, and how much the challenge lowers the accuracy;
and whether the network with the parameters of ImageNet has the smaller gap. A
number holds if its mean is above 0 by more than the half-width of its 95 %
interval. The claim "holds" if all nine do, and "holds in part" if some do.
"""

import json
import pathlib
import sys

import claims

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import background_findings

CLAIM = claims.Claim(
  sentence="Networks rely on backgrounds: these alone suffice to classify, "
  "others fool the network; training on random backgrounds closes the gap.",
  source="Xiao et al. 2020, Noise or Signal, Tables 2 and 5, Figure 4",
  published="ResNet-50: gap "
  + ", ".join(
    f"{value:+.1f}" if name == "gap" else f"{name} {value:+.1f}"
    for name, value in background_findings.PAPER.items()
  ),
  data="189 photographs of the stamps over 14 pictures, two for each class",
  untested="ImageNet-9 itself; backgrounds that belong to the photographs.",
)
BEFORE = (
  "python experiments/backgrounds.py --pictures runs/inputs/pictures "
  "--weights runs/inputs/efficientnet-lite0-57934424.pth --workdir {runs}",
)


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on the finished networks."""
  read = json.loads((workdir / "results.json").read_text("utf-8"))
  found = {
    name: claims.mean_and_half(values)
    for name, values in background_findings.findings(
      read["seeds"], largest=read["largest"]
    ).items()
  }
  return claims.Finding(
    ours="; ".join(
      f"{k} {m:+.1f} ± {half:.1f}" for k, (m, half) in found.items()
    ),
    verdict=claims.verdict([mean > half for mean, half in found.values()]),
    seeds=len(read["seeds"]),
    figure=background_findings.draw(read["seeds"], largest=read["largest"]),
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
