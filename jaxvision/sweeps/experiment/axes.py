"""Axes of a search space: a range, a list of values, a template, or cells.

There are two kinds of lists. The values of a `grid` are crossed: each value is
combined with each value of the other grids, and with each draw. A value of
`categorical` is drawn, as from a range. A list can also be a mapping
{label: space}. The axis then has any name, and a run with this label uses the
space of the label: its values, and its axes, which exist for this label only.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import genotypes, lookup
from jaxvision.lookup import options, ranges
from jaxvision.runs.sweep_folder import FOLD, FOLDS

# Types that a storage and a table can hold; others are stored as their repr.
_SCALARS = (bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class Range:
  """Numbers from `low` to `high`, both included.

  Attributes:
    low, high: the bounds.
    log: whether the logarithm is uniform, instead of the number.
    whole: whether the numbers are integers.
  """

  low: float
  high: float
  log: bool = False
  whole: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of several values.

  Attributes:
    labels: the label of each value: the value itself, or text.
    values: the values; search spaces if `spaces`.
    crossed: whether all values are tried, or one is drawn.
    spaces: whether the values are search spaces, not values of this key.
    decision: whether it is a decision of cells, so that all values are valid.
      It is not in the repr, which the folders of earlier sweeps contain.
  """

  labels: tuple[Any, ...]
  values: tuple[Any, ...]
  crossed: bool
  spaces: bool = False
  decision: bool = dataclasses.field(default=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Template:
  """A string (or a tuple of them) with gaps, and an axis for each gap."""

  text: Any
  axes: Mapping[str, Range | Choice]


@dataclasses.dataclass(frozen=True)
class Cells:
  """The cells of a searched network: one text, to which many choices lead.

  Attributes:
    genotypes: the space of the cells, as for `jaxvision.genotypes.create`.
  """

  genotypes: str

  @property
  def axes(self) -> Mapping[str, Choice]:
    """An axis for each decision that leads to a cell."""
    return _decisions(self.genotypes)


Space = Mapping[str, Any]


def grid(*values: Any) -> Choice:
  """Tries each value: grid(32, 64), or grid({"sgd": {...}, "adam": {...}}).

  Raises:
    ValueError: there is no value, or a value is repeated.
  """
  return _choice(values, crossed=True)


def categorical(*values: Any) -> Choice:
  """Draws one of the values; accepts a mapping {label: space}, as `grid` does.

  Raises:
    ValueError: there is no value, or a value is repeated.
  """
  return _choice(values, crossed=False)


def zipped(columns: Mapping[str, Sequence[Any]]) -> Choice:
  """A grid of rows: the first value of each key, then the second, and so on.

  Args:
    columns: {key: values}.

  Raises:
    ValueError: the keys have different numbers of values.
  """
  columns = {
    key: tuple(map(options.plain, values)) for key, values in columns.items()
  }
  lengths = {key: len(values) for key, values in columns.items()}
  if len(set(lengths.values())) != 1:
    raise ValueError(f"zipped needs columns of equal length, not {lengths}")
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
  """The seeds 0 to count - 1, crossed with all other axes; for key "seed"."""
  count = options.convert(count, ranges.Count, name="the number of seeds")
  return grid(*range(count))


def folds(count: int) -> Choice:
  """The folds of cross-validation, crossed with all other axes; for key "fold".

  Each value sets data.folds and data.fold. A run is validated on its fold of
  the training split and trained on the others. A setting is compared by its
  mean over the folds.

  Raises:
    ValueError: there are fewer than two folds.
  """
  count = options.convert(count, ranges.AtLeastTwo, name="the number of folds")
  values = tuple({FOLDS: count, FOLD: fold} for fold in range(count))
  return Choice(tuple(range(count)), values, crossed=True, spaces=True)


def is_folds(axis: Any) -> bool:
  """Whether an axis is `folds`."""
  return (
    isinstance(axis, Choice)
    and axis.spaces
    and all(set(value) == {FOLDS, FOLD} for value in axis.values)
  )


def uniform(low: float, high: float) -> Range:
  """Uniformly distributed numbers."""
  return _range(low, high)


def log_uniform(low: float, high: float) -> Range:
  """Positive numbers whose logarithm is uniformly distributed."""
  return _range(low, high, log=True)


def integer(low: int, high: int, *, log: bool = False) -> Range:
  """Integers from `low` to `high`; with `log` their logarithm is uniform."""
  return _range(low, high, log=log, whole=True)


def template(text: Any, **axes: Range | Choice) -> Template:
  """A template of a value: template("random_mixup({alpha})", alpha=...).

  Args:
    text: a string with gaps, or a tuple of strings.
    **axes: an axis for each gap; mappings are not allowed.

  Raises:
    ValueError: a gap has no axis, or an axis has no gap.
  """
  parts = [text] if isinstance(text, str) else text
  gaps = {gap for part in parts for gap in re.findall(r"\{(\w+)\}", part)}
  if gaps != set(axes):
    raise ValueError(
      f"the template {text!r} has the gaps {sorted(gaps)}, but the axes are "
      f"{sorted(axes)}; give each gap an axis with its name"
    )
  return Template(text, axes)


def cells(text: str) -> Cells:
  """Draws the cells of a network: cells("nasnet(blocks=5)"), cells("enas").

  The value is a genotype, as an option of the models `nasnet_cell` and
  `nasbench201`. The searchers draw each decision of the cells, and reports show
  the genotype.

  Raises:
    ValueError: the space of genotypes or an option is unknown.
  """
  return Cells(genotypes.create(text).name)


def write_genotype(axis: Cells, labels: Mapping[str, str]) -> str:
  """The genotype to which {decision: label} leads."""
  return _genotypes(axis.genotypes).write(labels)


def identify_genotype(axis: Cells, genotype: str) -> str:
  """A short text that is equal for equivalent cells."""
  return _genotypes(axis.genotypes).identify(genotype)


def fill(text: Any, values: Mapping[str, Any]) -> Any:
  """Fills the gaps of a template."""
  if not isinstance(text, str):
    return tuple(fill(part, values) for part in text)
  return re.sub(r"\{(\w+)\}", lambda gap: repr(values[gap[1]]), text)


def at(axis: Range | Choice, place: float) -> Any:
  """The number or label at a relative position `place` in [0, 1) of an axis."""
  if isinstance(axis, Choice):
    return axis.labels[int(place * len(axis.labels))]
  place = float(place)  # The repr of a numpy number has its type.
  low, high = axis.low, axis.high
  if axis.whole:
    # An integer gets the interval of +-0.5 around it: all are equally likely.
    low, high = low - 0.5, high + 0.5
  if axis.log:
    value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
  else:
    value = low + place * (high - low)
  if axis.whole:
    value = math.floor(value + 0.5)
  return min(max(value, axis.low), axis.high)


def value_of(axis: Choice, label: Any) -> Any:
  """Returns the value of a label.

  Raises:
    ValueError: the label is unknown.
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
      f"the choice {labels} needs at least one value, without repetitions"
    )
  of_labels = tuple(values[0].values()) if spaces else tuple(values)
  return Choice(labels, of_labels, crossed=crossed, spaces=spaces)


def _check_spaces(mapping: Mapping[Any, Any]) -> None:
  """Raises ValueError unless it is {label: {config key: value or axis}}."""
  for label, space in mapping.items():
    if not isinstance(label, str) or not isinstance(space, Mapping):
      raise ValueError(
        f"the choice {dict(mapping)!r}: a dictionary maps each label to its "
        f"config values, as in {{'small': {{'model.options.width': 8}}}}, but "
        f"{label!r} is {space!r}; to use dictionaries as values, give each a "
        "label: {'a': {'optimizer.options': {'b1': 0.9}}}"
      )


def _label(value: Any) -> Any:
  return value if isinstance(value, _SCALARS) else repr(value)


def _range(
  low: Any, high: Any, *, log: bool = False, whole: bool = False
) -> Range:
  """A range, after checks of its bounds (integers if `whole`)."""
  kind = int if whole else float
  low = options.convert(low, kind, name="the lower bound of a range")
  high = options.convert(high, kind, name="the upper bound of a range")
  if not low < high or (log and low <= 0):
    least = "above 0 and " if log else ""
    raise ValueError(
      f"the range from {low} to {high} is empty: give a lower bound {least}"
      "below the upper bound"
    )
  return Range(low, high, log=log, whole=whole)


@functools.cache
def _genotypes(name: str) -> genotypes.Space:
  return genotypes.create(name)


@functools.cache
def _decisions(name: str) -> Mapping[str, Choice]:
  return {
    decision: Choice(labels, labels, crossed=False, decision=True)
    for decision, labels in _genotypes(name).decisions.items()
  }
