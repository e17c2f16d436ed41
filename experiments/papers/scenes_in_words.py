"""A small captioner names two digits and their places.

  python experiments/captions.py scenes --workdir runs/claims/scenes_in_words
  python experiments/papers/scenes_in_words.py runs/claims/scenes_in_words

experiments/captions.py describes the data and the network.

How to read the answer: the share of test captions that equal the reference,
word by word. The claim "holds" if the mean over five seeds minus twice its
standard error is above 95 %, "holds in part" if it is above 80 %, and "does not
hold" otherwise.
"""

import json
import math
import pathlib
import statistics

import claims

CLAIM = claims.Claim(
  sentence="A decoder with cross-attention learns what is where from captions "
  "alone.",
  source="Tschannen et al. 2023, Image Captioners Are Scalable Vision Learners "
  "Too; Xu et al. 2015, Show, Attend and Tell",
  published="",
  data="scenes of two digits of MNIST",
  untested="Words of a natural language, many objects.",
)
BEFORE = ("python experiments/captions.py scenes --workdir {runs}",)
_HOLDS, _IN_PART = 0.95, 0.80


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on the five runs."""
  runs = sorted((workdir / "scenes").glob("seed-*"))
  results = [json.loads((run / "result.json").read_text()) for run in runs]
  shares = [each["final"]["metrics"]["exact_match"] for each in results]
  error = statistics.stdev(shares) / math.sqrt(len(shares))
  least = statistics.mean(shares) - 2 * error
  verdict = "holds in part" if least > _IN_PART else "does not hold"
  mean, half = claims.mean_and_half([100 * share for share in shares])
  made, (axes,) = claims.figure()
  axes.plot(range(len(shares)), [100 * share for share in shares], "o")
  axes.axhline(100 * _HOLDS, color="0.6", linewidth=1)
  axes.set(xlabel="seed", ylabel="exact captions, %")
  axes.set_xticks(range(len(shares)))
  return claims.Finding(
    ours=f"{mean:.1f} \u00b1 {half:.1f} % of the captions are exact",
    verdict="holds" if least > _HOLDS else verdict,
    seeds=len(shares),
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
