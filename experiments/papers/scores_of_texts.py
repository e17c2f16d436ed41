"""BLEU clips repeated words and punishes short texts; ROUGE measures recall.

  python experiments/papers/scores_of_texts.py

Worked values of the papers, and curves: a reference of ten different words, and
texts that have its first k words (short texts), or its first word k times
(repeated words), or the reference followed by k wrong words (long texts).

How to read the answer: the claim has four parts: (a) "the" seven times has the
clipped precision 2/7 (Papineni et al. 2002, example 2), (b) the brevity penalty
of a perfect text of k of ten words is exp(1 - 10 / k), so BLEU falls although
all its precisions are 1, (c) of the three texts in section 3.1 of Lin 2004,
"police kill the gunman" has ROUGE-L 0.75 and the other two 0.5, and (d) wrong
words after a perfect text lower BLEU and the precision of ROUGE-1, but not its
recall. The claim "holds" if all are true to seven digits, and "holds in part"
if at least two are.
"""

import math
from typing import Any

import claims

from jaxvision.metrics import text

CLAIM = claims.Claim(
  sentence="BLEU counts a word no more often than a reference has it and "
  "punishes texts that are too short; ROUGE measures how much of the reference "
  "is found.",
  source="Papineni et al. 2002, BLEU; Lin 2004, ROUGE",
  published="2/7; 0.75, 0.5, 0.5",
  data="sentences of the papers",
  untested="Agreement with people.",
)
_WORDS = (
  *("one", "two", "three", "four", "five"),
  *("six", "seven", "eight", "nine", "ten"),
)
_POLICE = {
  "police kill the gunman": 0.75,
  "the gunman kill police": 0.5,
  "the gunman police killed": 0.5,
}


def _bleu(hypothesis: str, *references: str, order: int = 4) -> float:
  return text.sentence_bleu(
    hypothesis, references, max_order=order, smoothing="none"
  ).score


def curves() -> dict[str, dict[str, list[float]]]:
  """Returns {kind of text: {score: values for k = 1 to 10}}."""
  reference = " ".join(_WORDS)
  kinds = {
    "short": [" ".join(_WORDS[:k]) for k in range(1, 11)],
    "repeated": [" ".join(["one"] * k) for k in range(1, 11)],
    "long": [
      " ".join((*_WORDS, *(f"wrong{i}" for i in range(k))))
      for k in range(1, 11)
    ],
  }
  found = {}
  for kind, hypotheses in kinds.items():
    rouges = [
      text.rouge(each, [reference], kinds=("rouge1",))["rouge1"]
      for each in hypotheses
    ]
    found[kind] = {
      "BLEU-1": [_bleu(each, reference, order=1) for each in hypotheses],
      "ROUGE-1 precision": [each.precision for each in rouges],
      "ROUGE-1 recall": [each.recall for each in rouges],
    }
  return found


def measure(quick: bool) -> claims.Finding:
  """Computes the worked values and the curves."""
  del quick  # It takes a second.
  clipped = _bleu(
    " ".join(["the"] * 7),
    "the cat is on the mat",
    "there is a cat on the mat",
    order=1,
  )
  found = curves()
  penalties = [math.exp(1 - 10 / k) for k in range(1, 11)]
  police = {
    each: text.rouge(each, ["police killed the gunman"])["rougeL"].f1
    for each in _POLICE
  }
  longer = found["long"]
  parts = (
    math.isclose(clipped, 2 / 7, abs_tol=1e-7),
    all(
      math.isclose(a, b, abs_tol=1e-7)
      for a, b in zip(found["short"]["BLEU-1"], penalties, strict=True)
    ),
    all(math.isclose(police[k], v, abs_tol=1e-7) for k, v in _POLICE.items()),
    all(
      a > b
      for name in ("BLEU-1", "ROUGE-1 precision")
      for a, b in zip(longer[name][:-1], longer[name][1:], strict=True)
    )
    and set(longer["ROUGE-1 recall"]) == {1.0},
  )
  verdict = "holds in part" if sum(parts) >= 2 else "does not hold"
  return claims.Finding(
    ours=f"{clipped:.7f}; " + ", ".join(f"{v:g}" for v in police.values()),
    verdict="holds" if all(parts) else verdict,
    seeds=0,
    figure=_draw(found),
  )


def _draw(found: dict[str, dict[str, list[float]]]) -> Any:
  made, panels = claims.figure(3)
  labels = {"short": "correct words of ten", "repeated": "times one word"}
  for axes, (kind, each) in zip(panels, found.items(), strict=True):
    for name, values in each.items():
      axes.plot(range(1, 11), values, "o-", markersize=3, label=name)
    axes.set_xlabel(labels.get(kind, "wrong words after ten correct ones"))
    axes.set_ylim(-0.05, 1.05)
  panels[0].legend(fontsize=6)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
