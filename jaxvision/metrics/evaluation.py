"""The result of an evaluation: metrics, their sums, and examples to show."""

import dataclasses
from typing import Any

import numpy as np


def add(a: Any, b: Any) -> Any:
  """Returns the sums over the examples of both, for sums that only add."""
  import jax

  return jax.tree.map(np.add, a, b)


@dataclasses.dataclass(frozen=True)
class Example:
  """An example of a split that the report shows.

  Attributes:
    score: why it is shown; the examples with the highest scores are.
    position: in the split.
    label, answer: the label, and the answer of the model; of the same shape.
    image: (h, w, c) uint8, before normalisation.
  """

  score: float
  position: int
  label: Any
  answer: Any
  image: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """The result of an evaluation of a whole split.

  Attributes:
    metrics: by name.
    sums: the sums that the metrics were computed from.
    examples: those with the highest scores, highest first.
  """

  metrics: dict[str, float]
  sums: Any
  examples: tuple[Example, ...]
