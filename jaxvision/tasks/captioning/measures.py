"""The metrics of captions: the loss per word, and the texts against references.

The loss is the mean over all words, with their ends, of the first captions of
each image, as many as task.options.captions. Long captions are cut. The
perplexity is the exponential of the mean negative log probability of these
words. BLEU, ROUGE-L and CIDEr-D compare the generated caption of each image
with all its captions, see `jaxvision.metrics.text`. "exact_match" is the share
of images whose generated caption equals a reference, word by word.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import text
from jaxvision.tasks.captioning import caption_arrays, vocabularies

Tree = Any
TEXTS = ("cider", "bleu4", "bleu3", "bleu2", "bleu1", "rouge_l", "exact_match")
NAMES = (*TEXTS, "loss", "perplexity")

# The axis of the examples of the fields that are not added.
_ROWS = {"generated": -2, "references": -2, "mask": -1}


def rows(
  generated: jax.Array, references: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
  """The fields of the sums that are concatenated.

  Args:
    generated: (b, length) int32, identifiers.
    references: (b, size) uint8, see `caption_arrays.to_bytes`.
    mask: (b,) float32.
  """
  counted = (mask > 0).astype(jnp.uint8)
  return {"generated": generated, "references": references, "mask": counted}


def merge(a: Tree, b: Tree) -> Tree:
  """Adds sums, and collects the rows of examples in lists, without a copy."""
  return {
    name: [*_parts(a[name]), *_parts(b[name])]
    if name in _ROWS
    else a[name] + b[name]
    for name in a
  }


def joined(sums: Tree) -> Tree:
  """Sums of any number of batches, with each list of rows as one array."""
  return {
    name: np.concatenate(_parts(each), axis=_ROWS[name])
    if name in _ROWS
    else each
    for name, each in sums.items()
  }


def _parts(rows: np.ndarray | list[np.ndarray]) -> list[np.ndarray]:
  return rows if isinstance(rows, list) else [rows]


def finish(words: vocabularies.Vocabulary, sums: Tree) -> dict[str, float]:
  """The metrics of sums.

  Raises:
    ValueError: no example was counted.
  """
  sums = joined(sums)
  rows = np.flatnonzero(sums["mask"])
  if not len(rows):
    raise ValueError("metrics of 0 examples; is the split empty or all masked?")
  generated = [words.decode(each) for each in sums["generated"][rows].tolist()]
  references = [
    caption_arrays.from_bytes(each) for each in sums["references"][rows]
  ]
  scores = text.caption_scores(generated, references)
  scores["exact_match"] = float(
    np.mean([*map(is_exact, generated, references)])
  )
  count = max(float(sums["count"]), 1.0)
  with np.errstate(over="ignore"):
    perplexity = float(np.exp(float(sums["nll"]) / count))
  loss = float(sums["loss"]) / count
  scores |= {"loss": loss, "perplexity": perplexity}
  return {name: scores[name] for name in NAMES}


def is_exact(generated: str, references: Sequence[str]) -> bool:
  """Whether a caption equals a reference, word by word."""
  found = vocabularies.split(generated)
  return any(found == vocabularies.split(each) for each in references)
