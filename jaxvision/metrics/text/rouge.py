"""ROUGE (Lin 2004), as in rouge-score and as in COCO's evaluation.

The two give different numbers: `rouge` takes the reference with the best F1 of
precision and recall, `coco_rouge_l` combines the best precision and the best
recall of all references, and weights recall with beta 1.2.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxvision.metrics.text import ngrams, tokenizers

ROUGE_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_BETA = 1.2  # of pycocoevalcap
_UNSTEMMED = 3  # the longest words that keep their endings


@dataclasses.dataclass(frozen=True)
class Rouge:
  """Precision, recall and their harmonic mean, in [0, 1]."""

  precision: float
  recall: float
  f1: float


def rouge(
  hypothesis: str,
  references: Sequence[str],
  *,
  kinds: Sequence[str] = ROUGE_KINDS,
  stem: bool = False,
) -> dict[str, Rouge]:
  """ROUGE of one text, of the reference with the best F1 for each kind.

  Texts are in lower case, and all characters but a to z and 0 to 9 separate
  words. "rougeLsum" compares the lines of the texts as sentences.

  Args:
    hypothesis: a text.
    references: one or more.
    kinds: of ROUGE_KINDS, or "rougeN" of another order.
    stem: whether Porter's stemmer removes the endings of words of more than 3
      letters. It is nltk's, of the extra jaxvision[text].

  Raises:
    ValueError: an unknown kind, no reference, or nltk is not installed.
  """
  ngrams.check_pairs([hypothesis], [references])
  split = _sentences(hypothesis, stem)
  others = [_sentences(each, stem) for each in references]
  return {
    kind: max(
      (_compare(kind, split, each) for each in others), key=lambda of: of.f1
    )
    for kind in kinds
  }


def mean_rouge(
  hypotheses: Sequence[str],
  references: Sequence[Sequence[str]],
  *,
  kinds: Sequence[str] = ROUGE_KINDS,
  stem: bool = False,
) -> dict[str, Rouge]:
  """The means of `rouge` over n texts."""
  ngrams.check_pairs(hypotheses, references)
  scores = [
    rouge(text, others, kinds=kinds, stem=stem)
    for text, others in zip(hypotheses, references, strict=True)
  ]
  return {
    kind: Rouge(
      *np.mean([dataclasses.astuple(of[kind]) for of in scores], 0).tolist()
    )
    for kind in kinds
  }


def coco_rouge_l(
  hypotheses: Sequence[str],
  references: Sequence[Sequence[str]],
  *,
  tokenizer: str = "coco",
) -> np.ndarray:
  """ROUGE-L as in COCO's evaluation (pycocoevalcap).

  Args:
    hypotheses: n texts.
    references: one or more for each hypothesis.
    tokenizer: a name of `tokenizers.TOKENIZERS`.

  Returns:
    (n,) float64, the score of each text. The score of the corpus is the mean.

  Raises:
    ValueError: a hypothesis has no reference.
  """
  ngrams.check_pairs(hypotheses, references)
  scores = []
  for text, others in zip(hypotheses, references, strict=True):
    tokens = tokenizers.tokenize(text, tokenizer)
    pairs = [
      _of_lcs(tokenizers.tokenize(each, tokenizer), tokens) for each in others
    ]
    precision = max(each.precision for each in pairs)
    recall = max(each.recall for each in pairs)
    weighted = (1 + _BETA**2) * precision * recall
    scores.append(weighted / (recall + _BETA**2 * precision or 1))
  return np.asarray(scores)


def _sentences(text: str, stem: bool) -> list[list[str]]:
  """The words of each line."""
  lines = [tokenizers.tokenize(line, "rouge") for line in text.split("\n")]
  if not stem:
    return lines
  stemmer = _stemmer()
  return [
    [stemmer.stem(each) if len(each) > _UNSTEMMED else each for each in line]
    for line in lines
  ]


def _stemmer() -> Any:
  try:
    from nltk.stem import porter
  except ImportError as error:
    raise ValueError(
      "stemming needs nltk: pip install 'jaxvision[text]', or score without it"
    ) from error
  return porter.PorterStemmer()


def _words(lines: Iterable[list[str]]) -> list[str]:
  return list(itertools.chain.from_iterable(lines))


def _compare(
  kind: str, split: Sequence[list[str]], reference: Sequence[list[str]]
) -> Rouge:
  words, others = _words(split), _words(reference)
  if kind == "rougeL":
    return _of_lcs(others, words)
  if kind == "rougeLsum":
    return _of_union(reference, split)
  if not kind.removeprefix("rouge").isdecimal() or kind == "rouge0":
    raise ValueError(
      f"unknown kind {kind!r} of ROUGE; expected one of "
      f"{', '.join(ROUGE_KINDS)}, or rougeN for n-grams of N words"
    )
  order = int(kind.removeprefix("rouge"))
  counted, expected = ngrams.count(words, order), ngrams.count(others, order)
  matches = (counted & expected).total()
  return _from_matches(matches, counted.total(), expected.total())


def _from_matches(matches: int, length: int, reference_length: int) -> Rouge:
  precision = matches / max(length, 1)
  recall = matches / max(reference_length, 1)
  f1 = 2 * precision * recall / (precision + recall or 1)
  return Rouge(precision, recall, f1)


def _of_lcs(reference: Sequence[str], tokens: Sequence[str]) -> Rouge:
  common = _lcs_table(reference, tokens)[-1][-1]
  return _from_matches(common, len(tokens), len(reference))


def _of_union(
  reference: Sequence[list[str]], split: Sequence[list[str]]
) -> Rouge:
  """Sums over the reference's sentences the union of their common sequences.

  A word counts at most as often as it occurs in both texts.
  """
  left = collections.Counter(_words(split))
  left &= collections.Counter(_words(reference))
  matches = 0
  for sentence in reference:
    union = set().union(*(_lcs_places(sentence, each) for each in split))
    for place in sorted(union):
      if left[sentence[place]] > 0:
        left[sentence[place]] -= 1
        matches += 1
  return _from_matches(matches, *(sum(map(len, a)) for a in (split, reference)))


def _lcs_table(a: Sequence[str], b: Sequence[str]) -> list[list[int]]:
  """[i][j]: length of the longest common subsequence of a[:i] and b[:j]."""
  table = [[0] * (len(b) + 1)]
  for word in a:
    above, row = table[-1], [0]
    for j, other in enumerate(b):
      row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
    table.append(row)
  return table


def _lcs_places(a: Sequence[str], b: Sequence[str]) -> Iterable[int]:
  """The positions in `a` of a longest common subsequence.

  Of several, it is the one of rouge-score, so that unions agree.
  """
  table, i, j = _lcs_table(a, b), len(a), len(b)
  while i and j:
    if a[i - 1] == b[j - 1]:
      i, j = i - 1, j - 1
      yield i
    elif table[i][j - 1] > table[i - 1][j]:
      j -= 1
    else:
      i -= 1
