"""Signatures: the settings that a BLEU score depends on, on one line."""

import importlib.metadata
from collections.abc import Sequence

from jaxvision.metrics.text import bleu


def signature(
  references: Sequence[Sequence[str]],
  *,
  tokenizer: str = "13a",
  smoothing: str = "exp",
  smoothing_value: float | None = None,
  effective_order: bool = False,
) -> str:
  """The signature of a BLEU score, in the form of sacrebleu.

  Returns:
    Such as "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:jaxvision
    0.1.0"; `nrefs` is "var" if the numbers of references differ.
  """
  numbers = {len(each) for each in references}
  value = bleu.SMOOTHINGS.get(smoothing)
  value = value if smoothing_value is None else smoothing_value
  return "|".join(
    (
      f"nrefs:{numbers.pop() if len(numbers) == 1 else 'var'}",
      f"case:{'lc' if tokenizer in ('coco', 'rouge') else 'mixed'}",
      f"eff:{'yes' if effective_order else 'no'}",
      f"tok:{tokenizer}",
      f"smooth:{smoothing}" + (f"[{value:.2f}]" if value else ""),
      f"version:jaxvision {importlib.metadata.version('jaxvision')}",
    )
  )
