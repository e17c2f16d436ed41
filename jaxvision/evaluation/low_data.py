"""Accuracies with k examples of each class, over draws of the examples.

Two methods see the same draws, so their difference is tested in pairs.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Two methods with k examples of each class.

  Attributes:
    examples: k.
    draws: number of draws of the examples.
    first, second: mean accuracies of the methods.
    first_spread, second_spread: standard deviations over the draws.
    difference: second - first.
    p: of Student's test in pairs, two-sided: the probability of a difference at
      least as large if the means are equal.
  """

  examples: int
  draws: int
  first: float
  first_spread: float
  second: float
  second_spread: float
  difference: float
  p: float


def draw(labels: np.ndarray, *, examples: int, seed: int) -> np.ndarray:
  """Indices of `examples` random examples of each class, class by class.

  The examples of a smaller number are among those of a larger one.

  Args:
    labels: (n,) integers.
    examples: of each class.
    seed: of the draw.

  Raises:
    ValueError: a class has fewer examples.
  """
  found = []
  for label in np.unique(labels).tolist():
    members = np.flatnonzero(labels == label)
    if len(members) < examples:
      raise ValueError(
        f"class {label} has {len(members)} examples, and {examples} are drawn; "
        f"draw at most {len(members)}"
      )
    rng = np.random.Generator(np.random.Philox((seed, label)))
    found.append(rng.permutation(members)[:examples])
  return np.concatenate(found)


def compare(
  first: Mapping[int, Sequence[float]], second: Mapping[int, Sequence[float]]
) -> list[Comparison]:
  """Compares two methods for each number of examples.

  Args:
    first, second: examples of each class -> accuracies by draw, with the same
      draws in the same order.

  Raises:
    ValueError: the methods have other numbers of examples or draws, or fewer
      than two draws.
  """
  if set(first) != set(second):
    raise ValueError(
      f"the methods have {sorted(first)} and {sorted(second)} examples of each "
      "class; measure both with the same numbers"
    )
  return [_compared(k, first[k], second[k]) for k in sorted(first)]


def _compared(
  examples: int, first: Sequence[float], second: Sequence[float]
) -> Comparison:
  from scipy import stats

  a, b = (np.asarray(each, np.float64) for each in (first, second))
  if a.shape != b.shape or len(a) < 2:
    raise ValueError(
      f"{len(a)} and {len(b)} draws with {examples} examples of each class; "
      "expected the same draws, at least 2"
    )
  apart = b - a
  if np.ptp(apart) < 1e-12:  # a rounding error of accuracies
    p = 1.0 if abs(apart[0]) < 1e-12 else 0.0
  else:
    p = float(stats.ttest_rel(b, a).pvalue)
  return Comparison(
    examples=examples,
    draws=len(a),
    first=float(a.mean()),
    first_spread=float(a.std(ddof=1)),
    second=float(b.mean()),
    second_spread=float(b.std(ddof=1)),
    difference=float(apart.mean()),
    p=p,
  )
