"""Significance of differences between settings, over seeds."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

CONFIDENCE = 0.95


def interval(values: np.ndarray) -> float:
  """Half-width of the 95 % confidence interval of the mean (Student's t).

  NaN for fewer than two values.
  """
  from scipy import stats

  if len(values) < 2:
    return math.nan
  quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
  return float(quantile * stats.sem(values))


def bounds(
  values: np.ndarray, limits: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, float]:
  """The 95 % confidence interval of the mean (Student's t), inside limits.

  The mean is inside the limits, so the part outside can be cut off: the rest
  contains the mean as often. An interval by the bootstrap is also inside, but
  with three to ten seeds it contains the mean less often.

  Args:
    values: (n,) values.
    limits: smallest and largest possible value, such as 0 and 1.

  Returns:
    The two ends; NaN for fewer than two values.
  """
  half = interval(values)
  if math.isnan(half):
    return math.nan, math.nan
  mean = float(np.mean(values))
  return max(mean - half, limits[0]), min(mean + half, limits[1])


def p_value(a: Mapping[int, float], b: Mapping[int, float]) -> float:
  """The p-value of equal means of two settings, {seed: value} each.

  With equal seeds the test is paired (Student), because a seed also determines
  the order of the images. Otherwise it is Welch's test. NaN if a setting has
  fewer than two values.
  """
  from scipy import stats

  if min(len(a), len(b)) < 2:
    return math.nan
  if set(a) == set(b):
    differences = np.array([a[seed] - b[seed] for seed in a])
    if np.ptp(differences) == 0:
      return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0).pvalue)
  first, second = list(a.values()), list(b.values())
  if np.ptp(first) == 0 == np.ptp(second):
    return 1.0 if first[0] == second[0] else 0.0
  return float(stats.ttest_ind(first, second, equal_var=False).pvalue)


def mcnemar(only_first: int, only_second: int) -> float:
  """The p-value of McNemar's exact test of equal accuracies (1947).

  Args:
    only_first, only_second: numbers of the examples that only one of two
      classifiers has right. Without such an example the p-value is NaN.
  """
  from scipy import stats

  total = int(only_first + only_second)
  if not total:
    return math.nan
  return float(stats.binomtest(int(only_first), total).pvalue)


def pairwise(settings: Sequence[Mapping[int, float]]) -> np.ndarray:
  """(n, n) p-values of all pairs, corrected by Holm (1979); NaN if undefined.

  Args:
    settings: {seed: value} of each setting.
  """
  pairs = [
    (i, j) for i in range(len(settings)) for j in range(i + 1, len(settings))
  ]
  raw = [p_value(settings[i], settings[j]) for i, j in pairs]
  table = np.full((len(settings), len(settings)), np.nan)
  for (i, j), value in zip(pairs, holm(raw), strict=True):
    table[i, j] = table[j, i] = value
  return table


def holm(values: Sequence[float]) -> list[float]:
  """Holm's step-down: the k-th smallest of m is multiplied by m - k + 1.

  A corrected value is at least as large as the corrected values before it.
  """
  corrected = list(values)
  order = sorted(
    (i for i, value in enumerate(values) if not math.isnan(value)),
    key=lambda i: values[i],
  )
  largest = 0.0
  for rank, i in enumerate(order):
    largest = max(largest, min(1.0, (len(order) - rank) * values[i]))
    corrected[i] = largest
  return corrected
