"""Grad-CAM finds the object that a network classifies.

  python experiments/papers/inputs.py
  python experiments/explanations.py --pictures runs/inputs/pictures \\
    --weights runs/inputs/efficientnet-lite0-57934424.pth \\
    --workdir runs/claims/heat_maps
  python experiments/papers/heat_maps.py runs/claims/heat_maps

experiments/explanations.py describes the scenes, the network and the measures:
the pointing game with exact masks, and the areas of deletion and insertion.

How to read the answer: Grad-CAM against a map of the centre and a random map,
paired over the three seeds, by the rule of experiments/explanations.py. The
claim has two parts: (a) Grad-CAM "finds the object" (pointing game), and (b) it
"explains the network" (deletion and insertion). It "holds" if both are true,
and "holds in part" if one is.
"""

import json
import pathlib
import sys

import claims

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import explanations

CLAIM = claims.Claim(
  sentence="Grad-CAM shows where the network sees the object of a class.",
  source="Selvaraju et al. 2017, Grad-CAM, section 4.1; Petsiuk et al. 2018, "
  "RISE, Tables 1 and 2",
  published="pointing game, COCO: Grad-CAM 70.6 %, c-MWP 60.3 %",
  data="photographs of the stamps over pictures of other things",
  untested="A tolerance around the object, as in the published game; several "
  "objects in one image.",
)
BEFORE = (
  "python experiments/explanations.py --pictures runs/inputs/pictures "
  "--weights runs/inputs/efficientnet-lite0-57934424.pth --workdir {runs}",
)
_METHOD = "gradcam"


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on the measured maps."""
  results = [
    json.loads(path.read_text("utf-8"))["methods"]
    for path in sorted(workdir.glob("seed-*/result.json"))
  ]
  verdict = explanations.judge(results, _METHOD)
  ours = []
  for measure in explanations.MEASURES:
    cells = []
    for name in (_METHOD, *explanations.BASELINES):
      values = [each[name][measure] for each in results]
      mean, half = claims.mean_and_half(values)
      cells.append(f"{name} {mean:.3f} ± {half:.3f}")
    ours.append(f"{measure} {', '.join(cells)}")
  return claims.Finding(
    ours="; ".join(ours),
    verdict=claims.verdict(
      [each in verdict for each in ("finds the object", "explains the network")]
    ),
    seeds=len(results),
    figure=explanations.draw(results),
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
