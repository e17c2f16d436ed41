"""Search spaces, {config key: value or axis}, and their points.

The name of an axis is its key, after the labels that it depends on, as in
"optimizer=sgd/optimizer.learning_rate". `picks` are {name: number or label}.
The picks define a point; the space converts them to overrides of the config.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from jaxvision.lookup import options
from jaxvision.runs.sweep_folder import FOLD, FOLD_AXIS, SEED
from jaxvision.sweeps.experiment import axes
from jaxvision.sweeps.experiment.axes import (
  Cells,
  Choice,
  Range,
  Space,
  Template,
)

Picks = Mapping[str, Any]
Pick = Callable[[str, Range | Choice], Any]
_MOST_LISTED = 100_000  # cells of one axis in a grid


@dataclasses.dataclass(frozen=True)
class Point:
  """One config of a space.

  Attributes:
    picks: {name of the axis: number or label}.
    settings: {key of the axis: number, label or genotype}, for reports.
    overrides: {config key: value} on top of the base config.
  """

  picks: dict[str, Any]
  settings: dict[str, Any]
  overrides: dict[str, Any]


def resolve(space: Space, pick: Pick) -> Point:
  """Returns the point whose picks are `pick(name, axis)`.

  `pick` is called only for axes that exist under the labels picked so far.
  """
  point = Point({}, {}, {})
  _resolve(space, pick, point, "")
  return point


def crossings(
  space: Space, *, everything: bool = False, prefix: str = ""
) -> Iterator[dict[str, Any]]:
  """Yields the picks of all combinations of the crossed axes.

  Args:
    space: the search space.
    everything: cross the drawn axes too.
    prefix: prefix of the names.

  Raises:
    ValueError: a range cannot be crossed.
  """
  crossed = [
    list(_crossings_of(prefix + key, axis, everything))
    for key, axis in space.items()
  ]
  for combination in itertools.product(*crossed):
    yield {name: pick for part in combination for name, pick in part.items()}


def drawn(
  space: Space, *, prefix: str = "", inside: bool = False
) -> dict[str, Range | Choice]:
  """Returns the drawn axes by name.

  `inside`: the space belongs to a drawn label, so all its axes are drawn.
  """
  found = {}
  for key, axis in space.items():
    name = prefix + key
    if isinstance(axis, Range) or (
      isinstance(axis, Choice) and (inside or not axis.crossed)
    ):
      found[name] = axis
    if isinstance(axis, Template | Cells):
      found |= drawn(axis.axes, prefix=f"{name}.", inside=inside)
    if isinstance(axis, Choice) and axis.spaces:
      for label, branch in zip(axis.labels, axis.values, strict=True):
        found |= drawn(branch, prefix=f"{name}={label}/", inside=name in found)
  return found


def corners(space: Space) -> Iterator[Point]:
  """Yields points that together contain every extreme value of every axis.

  Cells have one value in all points: each of their genotypes is valid.
  """
  seen = set()
  waiting: list[dict[str, Any]] = [{}]
  while waiting:
    chosen = waiting.pop()
    met: dict[str, Range | Choice] = {}

    def pick(name, axis, chosen=chosen, met=met):
      if not (isinstance(axis, Choice) and axis.decision):
        met[name] = axis
      return chosen.get(name, axes.extremes(axis)[0])

    yield resolve(space, pick)
    for name, axis in met.items():
      for value in axes.extremes(axis):
        if (name, value) not in seen:
          seen.add((name, value))
          if value != chosen.get(name, axes.extremes(axis)[0]):
            # Keep the labels that the axis depends on, so that it exists.
            waiting.append({**_owners(name, chosen), name: value})


def size(space: Space) -> int | float:
  """Number of points of a space; infinite if it has a range of real numbers."""
  return math.prod(map(_size_of, space.values()))


def identity(space: Space, point: Point) -> Hashable:
  """A key of a point; it is equal for equal settings and equivalent cells."""
  found = dict(point.settings)
  for key, axis in _active(space, point.picks, ""):
    if isinstance(axis, Cells):
      found[key] = axes.identify_genotype(axis, found[key])
  return tuple(found.items())


def repetitions(space: Space, *, prefix: str = "") -> set[str]:
  """The names of the axes that repeat a setting: the seed, and the folds."""
  found = set()
  for key, axis in space.items():
    name = prefix + key
    if name == SEED or key == FOLD or axes.is_folds(axis):
      found.add(name)
    elif isinstance(axis, Choice) and axis.spaces:
      for label, branch in zip(axis.labels, axis.values, strict=True):
        found |= repetitions(branch, prefix=f"{name}={label}/")
  return found


def check_folds(space: Space) -> None:
  """Raises ValueError if the axis of the folds is not called "fold"."""
  for key, axis in space.items():
    if axes.is_folds(axis) and key != FOLD_AXIS:
      raise ValueError(
        f"the axis {key!r} of the space is sweep.folds, which sets data.folds "
        f'and data.fold; call it "{FOLD_AXIS}"'
      )
    if isinstance(axis, Choice) and axis.spaces:
      for branch in axis.values:
        check_folds(branch)


def find_cells(space: Space) -> Iterator[tuple[str, Cells]]:
  """Yields (key, axis) of all axes of cells, also of those under labels."""
  for key, axis in space.items():
    if isinstance(axis, Cells):
      yield key, axis
    elif isinstance(axis, Choice) and axis.spaces:
      for branch in axis.values:
        yield from find_cells(branch)


def describe(space: Space) -> dict[str, str]:
  """Returns {key: text}; equal spaces give equal texts."""
  return {key: repr(axis) for key, axis in space.items()}


def _resolve(space: Space, pick: Pick, point: Point, prefix: str) -> None:
  for key, axis in space.items():
    name = prefix + key
    if isinstance(axis, Template):
      values = {
        gap: _take(f"{name}.{gap}", f"{key}.{gap}", each, pick, point)
        for gap, each in axis.axes.items()
      }
      point.overrides[key] = axes.fill(axis.text, values)
    elif isinstance(axis, Cells):
      genotype = _write_genotype(axis, name, pick, point)
      point.settings[key] = point.overrides[key] = genotype
    elif not isinstance(axis, Range | Choice):
      point.overrides[key] = options.plain(axis)
    else:
      value = _take(name, key, axis, pick, point)
      if isinstance(axis, Choice) and axis.spaces:
        label = point.picks[name]
        _resolve(value, pick, point, f"{name}={label}/")
      else:
        point.overrides[key] = value


def _take(
  name: str, key: str, axis: Range | Choice, pick: Pick, point: Point
) -> Any:
  picked = pick(name, axis)
  point.picks[name] = point.settings[key] = picked
  return axes.value_of(axis, picked) if isinstance(axis, Choice) else picked


def _write_genotype(axis: Cells, name: str, pick: Pick, point: Point) -> str:
  labels = {}
  for decision, choice in axis.axes.items():
    labels[decision] = pick(f"{name}.{decision}", choice)
    point.picks[f"{name}.{decision}"] = labels[decision]
  return axes.write_genotype(axis, labels)


def _crossings_of(
  name: str, axis: Any, everything: bool
) -> Iterator[dict[str, Any]]:
  if isinstance(axis, Cells) and everything:
    _check_listable(name, axis)
  if isinstance(axis, Template | Cells):
    yield from crossings(axis.axes, everything=everything, prefix=f"{name}.")
  elif isinstance(axis, Choice) and (axis.crossed or everything):
    for label, value in zip(axis.labels, axis.values, strict=True):
      branch = value if axis.spaces else {}
      for inner in crossings(
        branch, everything=everything, prefix=f"{name}={label}/"
      ):
        yield {name: label, **inner}
  elif isinstance(axis, Range) and everything:
    raise ValueError(
      f"{name} is a range from {axis.low} to {axis.high}; a grid needs a list "
      "of values: write grid(...) with the values, or use another --searcher"
    )
  else:
    yield {}


def _check_listable(name: str, axis: Cells) -> None:
  if (count := size(axis.axes)) > _MOST_LISTED:
    raise ValueError(
      f"{name} has {count:.4g} sequences of decisions; a grid lists at most "
      f"{_MOST_LISTED:,}: use another --searcher"
    )


def _owners(name: str, picks: Picks) -> dict[str, Any]:
  """The picks whose labels are part of a name."""
  return {
    owner: label
    for owner, label in picks.items()
    if name.startswith(f"{owner}={label}/")
  }


def _active(space: Space, picks: Picks, prefix: str) -> Iterator[tuple]:
  """Yields (key, axis) of all axes that exist under the picks."""
  for key, axis in space.items():
    yield key, axis
    if isinstance(axis, Choice) and axis.spaces:
      label = picks[prefix + key]
      branch = axes.value_of(axis, label)
      yield from _active(branch, picks, f"{prefix}{key}={label}/")


def _size_of(axis: Any) -> int | float:
  if isinstance(axis, Template | Cells):
    return size(axis.axes)
  if isinstance(axis, Range):
    return axis.high - axis.low + 1 if axis.whole else math.inf
  if isinstance(axis, Choice):
    return sum(map(size, axis.values)) if axis.spaces else len(axis.labels)
  return 1
