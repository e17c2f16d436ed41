"""The scores of captions that papers report."""

import math
from collections.abc import Sequence

from jaxvision.metrics.text import bleu, cider, rouge, tokenizers

TOKENIZER = "coco"
_ORDERS = (1, 2, 3, 4)


def caption_scores(
  hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
  """BLEU-1 to 4, ROUGE-L and CIDEr-D, as in COCO's evaluation.

  The texts are tokenized by "coco", see `tokenizers` for its differences from
  COCO's. BLEU is not smoothed: without a matching 4-gram bleu4 is 0, where
  pycocoevalcap adds 1e-15.

  Args:
    hypotheses: n captions, one for each image.
    references: one or more captions for each image.

  Returns:
    "bleu1", "bleu2", "bleu3", "bleu4" and "rouge_l" in [0, 1], "cider" in
    [0, 10].

  Raises:
    ValueError: there is no hypothesis, or one has no reference.
  """
  texts = [_tokenized(each) for each in hypotheses]
  others = [[_tokenized(each) for each in of] for of in references]
  found = bleu.corpus_bleu(texts, others, tokenizer="none", smoothing="none")
  scores = {
    f"bleu{order}": found.brevity_penalty
    * math.prod(found.precisions[:order]) ** (1 / order)
    for order in _ORDERS
  }
  lcs = rouge.coco_rouge_l(texts, others, tokenizer="none")
  consensus = cider.cider_d(texts, others, tokenizer="none")
  return scores | {
    "rouge_l": float(lcs.mean()),
    "cider": float(consensus.mean()),
  }


def _tokenized(text: str) -> str:
  return " ".join(tokenizers.tokenize(text, TOKENIZER))
