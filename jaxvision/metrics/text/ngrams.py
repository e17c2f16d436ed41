"""Counts of n-grams, and the checks that all metrics of texts share."""

import collections
from collections.abc import Sequence

Counts = collections.Counter[tuple[str, ...]]


def count(tokens: Sequence[str], order: int) -> Counts:
  """The n-grams of one order, with the number of their occurrences."""
  return collections.Counter(
    tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1)
  )


def check_pairs(
  hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> None:
  """Checks that each hypothesis has references.

  Raises:
    ValueError: there is no hypothesis, their numbers differ, or a hypothesis
      has no reference.
    TypeError: a text instead of a list of texts.
  """
  for name, value in (
    ("hypotheses", hypotheses),
    *(("the references of one hypothesis", each) for each in references),
  ):
    if isinstance(value, str):
      raise TypeError(
        f"{name} are the text {value!r}; expected a list of texts"
      )
  if not hypotheses or len(hypotheses) != len(references):
    raise ValueError(
      f"{len(hypotheses)} hypotheses and {len(references)} lists of "
      "references; expected one list for each of one or more hypotheses"
    )
  without = [i for i, each in enumerate(references) if not len(each)]
  if without:
    raise ValueError(
      f"{len(without)} of {len(references)} hypotheses have no reference, "
      f"first number {without[0]}; give at least one for each"
    )
