"""What a key of a config may be in a sweep: a range, a list, or a template.

Two kinds of lists. What stands in a `grid` is crossed: each value meets each
value of the other grids, and each draw. What stands in `categorical` is drawn,
as ranges are. A list may be a mapping {label: space} as well; its name is then
free, and a run that takes the label takes all that its space says: values, or
axes of their own, which only exist for this label.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import lookup
from jaxvision.lookup import options, ranges

# What a storage can hold, and a table can show; others are written out.
_SCALARS = (bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class Range:
  """Numbers from `low` to `high`, both possible.

  Attributes:
    low, high: the bounds.
    log: whether the logarithm is drawn evenly, in place of the number.
    whole: whether numbers are integers.
  """

  low: float
  high: float
  log: bool = False
  whole: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of several values.

  Attributes:
    labels: what each is called: itself, or text.
    values: what each is; spaces where `spaces` says so.
    crossed: whether all are taken, or one is drawn.
    spaces: whether the values are mappings of keys, not a value of this key.
  """

  labels: tuple[Any, ...]
  values: tuple[Any, ...]
  crossed: bool
  spaces: bool = False


@dataclasses.dataclass(frozen=True)
class Template:
  """Text with gaps, alone or in a tuple, and an axis for each gap."""

  text: Any
  axes: Mapping[str, Range | Choice]


Space = Mapping[str, Any]


def grid(*values: Any) -> Choice:
  """Each of the values: grid(32, 64), or grid({"sgd": {...}, "adam": {...}}).

  Raises:
    ValueError: no value, or one twice.
  """
  return _choice(values, crossed=True)


def categorical(*values: Any) -> Choice:
  """One of the values is drawn; a mapping {label: space} as for `grid`.

  Raises:
    ValueError: no value, or one twice.
  """
  return _choice(values, crossed=False)


def zipped(columns: Mapping[str, Sequence[Any]]) -> Choice:
  """The first values together, then the second: {key: values, ...}, a grid.

  Raises:
    ValueError: the keys have different numbers of values.
  """
  columns = {
    key: tuple(map(options.plain, values)) for key, values in columns.items()
  }
  lengths = {key: len(values) for key, values in columns.items()}
  if len(set(lengths.values())) != 1:
    raise ValueError(f"zipped takes columns of one length, not {lengths}")
  rows = [
    dict(zip(columns, row, strict=True))
    for row in zip(*columns.values(), strict=True)
  ]
  named = {
    ", ".join(f"{key.split('.')[-1]}={value}" for key, value in row.items()): (
      row
    )
    for row in rows
  }
  return grid(named)


def seeds(count: int) -> Choice:
  """The seeds 0 to count - 1, each with everything; for the key "seed"."""
  count = options.convert(count, ranges.Count, name="the number of seeds")
  return grid(*range(count))


def uniform(low: float, high: float) -> Range:
  """Numbers, evenly drawn."""
  return _range(low, high)


def log_uniform(low: float, high: float) -> Range:
  """Positive numbers whose logarithm is evenly drawn."""
  return _range(low, high, log=True)


def integer(low: int, high: int, *, log: bool = False) -> Range:
  """Integers from `low` to `high`; `log` draws their logarithm evenly."""
  return _range(low, high, log=log, whole=True)


def template(text: Any, **axes: Range | Choice) -> Template:
  """Text with gaps to fill: template("random_mixup({alpha})", alpha=...).

  Args:
    text: a string or a tuple of them.
    **axes: for each gap; no mappings.

  Raises:
    ValueError: a gap without an axis, or an axis without a gap.
  """
  parts = [text] if isinstance(text, str) else text
  gaps = {gap for part in parts for gap in re.findall(r"\{(\w+)\}", part)}
  if gaps != set(axes):
    raise ValueError(
      f"the template {text!r} has the gaps {sorted(gaps)}, but the axes are "
      f"{sorted(axes)}; each gap needs an axis of its name"
    )
  return Template(text, axes)


def fill(text: Any, values: Mapping[str, Any]) -> Any:
  """The text of a template with its gaps filled."""
  if not isinstance(text, str):
    return tuple(fill(part, values) for part in text)
  return re.sub(r"\{(\w+)\}", lambda gap: repr(values[gap[1]]), text)


def at(axis: Range | Choice, place: float) -> Any:
  """The number, or the label, that lies at a place in [0, 1) of an axis."""
  if isinstance(axis, Choice):
    return axis.labels[int(place * len(axis.labels))]
  place = float(place)  # A numpy number would show its type in a command.
  low, high = axis.low, axis.high
  if axis.whole:
    # Each integer owns the half unit around it, so that all are as likely.
    low, high = low - 0.5, high + 0.5
  if axis.log:
    value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
  else:
    value = low + place * (high - low)
  if axis.whole:
    value = math.floor(value + 0.5)
  return min(max(value, axis.low), axis.high)


def value_of(axis: Choice, label: Any) -> Any:
  """The value behind a label.

  Raises:
    ValueError: there is no such label.
  """
  if label not in axis.labels:
    known = [str(each) for each in axis.labels]
    raise ValueError(lookup.unknown("choice", str(label), known))
  return axis.values[axis.labels.index(label)]


def extremes(axis: Range | Choice) -> tuple[Any, ...]:
  """The bounds of a range; all labels of a choice."""
  if isinstance(axis, Choice):
    return axis.labels
  return (axis.low, axis.high)


def _choice(values: Sequence[Any], *, crossed: bool) -> Choice:
  values = tuple(map(options.plain, values))
  spaces = len(values) == 1 and isinstance(values[0], Mapping)
  if spaces:
    _check_spaces(values[0])
  labels = tuple(values[0]) if spaces else tuple(map(_label, values))
  if not labels or len(set(map(str, labels))) < len(labels):
    raise ValueError(
      f"the choice {labels} needs at least one value, and none of them twice"
    )
  of_labels = tuple(values[0].values()) if spaces else tuple(values)
  return Choice(labels, of_labels, crossed=crossed, spaces=spaces)


def _check_spaces(mapping: Mapping[Any, Any]) -> None:
  """Raises ValueError unless it is {label: {config key: value or axis}}."""
  for label, space in mapping.items():
    if not isinstance(label, str) or not isinstance(space, Mapping):
      raise ValueError(
        f"the choice {dict(mapping)!r}: a dictionary says what each label "
        f"sets, as in {{'small': {{'model.options.width': 8}}}}, but "
        f"{label!r} is {space!r}; for dictionaries as values give each a "
        "label: {'a': {'optimizer.options': {'b1': 0.9}}}"
      )


def _label(value: Any) -> Any:
  return value if isinstance(value, _SCALARS) else repr(value)


def _range(
  low: Any, high: Any, *, log: bool = False, whole: bool = False
) -> Range:
  """A range whose bounds are numbers, integers where it is whole."""
  kind = int if whole else float
  low = options.convert(low, kind, name="the lower bound of a range")
  high = options.convert(high, kind, name="the upper bound of a range")
  if not low < high or (log and low <= 0):
    least = "above 0 and " if log else ""
    raise ValueError(
      f"the range from {low} to {high} is none: the lower bound must be {least}"
      "below the upper one"
    )
  return Range(low, high, log=log, whole=whole)
