"""Formatting of numbers; a missing number is an en dash."""

import functools
import math
import numbers
import re
from collections.abc import Callable
from typing import Any

NOTHING = "\N{EN DASH}"

# Metrics that are fractions of examples or decisions, shown as percentages.
# The metrics of a probe start with its name, as in "fewshot/5shot_top1".
_SHARES = re.compile(
  r"(^|.*[/_])"
  r"(top|precision|recall|f1|calibration|agreement|subset|exact|hamming)"
)


def percent(value: float | None) -> str:
  """A fraction in [0, 1] as a percentage: 0.98611 -> '98.61%'."""
  return f"{100 * value:.2f}%" if is_number(value) else NOTHING


def significant(value: float | None) -> str:
  """A number with four significant digits: 0.0123456 -> '0.01235'."""
  return f"{value:.4g}" if is_number(value) else NOTHING


def integer(value: float | None) -> str:
  """An integer with thousands separators: 1797 -> '1,797'."""
  return f"{value:,.0f}" if is_number(value) else NOTHING


def magnitude(value: float | None, *, unit: str = "") -> str:
  """A large number with a decimal prefix: 1234567 -> '1.23 M'."""
  if not is_number(value):
    return NOTHING
  prefixes = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
  for prefix, size in prefixes:
    if abs(value) >= size:
      return f"{value / size:.3g} {prefix}{unit}"
  return f"{value:.4g} {unit}".strip()


def duration(seconds: float | None) -> str:
  """A time span in its two largest units: 3725 -> '1 h 2 min'."""
  if not is_number(seconds):
    return NOTHING
  if 0 < seconds < 1:
    return f"{1000 * seconds:.3g} ms"
  if seconds < 60:
    return f"{seconds:.3g} s"
  minutes, rest = divmod(round(seconds), 60)
  if minutes < 60:
    return f"{minutes} min {rest} s"
  return f"{minutes // 60} h {minutes % 60} min"


def metric(name: str, value: float | None) -> str:
  """A metric, by its name: fractions in percent, others as plain numbers."""
  return percent(value) if is_share(name) else significant(value)


def writer(name: str) -> Callable[[float | None], str]:
  """`metric` of one name, for the cells of a column."""
  return functools.partial(metric, name)


def scale(name: str) -> int:
  """The factor of the values in a chart: 100 for fractions, in percent."""
  return 100 if is_share(name) else 1


def is_share(name: str) -> bool:
  """Whether a metric is a fraction of the examples or decisions."""
  return _SHARES.match(name) is not None


def limits(name: str) -> tuple[float, float]:
  """The smallest and the largest value that a metric can have."""
  return (0.0, 1.0) if is_share(name) else (-math.inf, math.inf)


def is_number(value: Any) -> bool:
  """Whether a value is a finite number."""
  return isinstance(value, numbers.Real) and math.isfinite(value)
