"""The result of an evaluation: metrics, their sums, and examples to show."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


def add(a: Any, b: Any) -> Any:
  """Adds two trees of sums, element by element."""
  import jax

  return jax.tree.map(np.add, a, b)


def means(sums: Mapping[str, Any]) -> dict[str, float]:
  """Returns each scalar of the sums, divided by the count.

  Args:
    sums: numpy arrays or dictionaries of them; "count" is the number of
      examples.

  Raises:
    ValueError: no example was counted.
  """
  count = int(sums["count"])
  if not count:
    raise ValueError("metrics of 0 examples; is the split empty or all masked?")
  return {
    name: float(value) / count
    for name, value in sums.items()
    if name != "count" and not isinstance(value, dict) and value.ndim == 0
  }


@dataclasses.dataclass(frozen=True)
class Example:
  """An example of a split that the report shows.

  Attributes:
    score: the report shows the examples with the highest scores.
    position: index in the split.
    label, answer: the label, and the answer of the model; both have the same
      shape.
    image: (h, w, c) uint8, before normalisation.
  """

  score: float
  position: int
  label: Any
  answer: Any
  image: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outputs:
  """The outputs of a model for examples of a split, in the order of the split.

  Attributes:
    positions: (n,) int64, indices in the split.
    labels: (n, ...), the labels.
    outputs: (n, ...) float32, such as logits.
  """

  positions: np.ndarray
  labels: np.ndarray
  outputs: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """The result of the evaluation of a complete split.

  Attributes:
    metrics: by name.
    sums: the sums from which the metrics were computed.
    examples: the examples with the highest scores, highest first.
    outputs: of the model, if the evaluation was asked to keep some.
  """

  metrics: dict[str, float]
  sums: Any
  examples: tuple[Example, ...]
  outputs: Outputs | None = None
