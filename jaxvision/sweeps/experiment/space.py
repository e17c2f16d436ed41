"""Search spaces, {config key: value or axis}, and their points.

The name of an axis is its key, after the labels that it depends on, as in
"optimizer=sgd/optimizer.learning_rate". `picks` are {name: number or label}.
The picks define a point; the space converts them to overrides of the config.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxvision.lookup import options
from jaxvision.sweeps.experiment import axes
from jaxvision.sweeps.experiment.axes import Choice, Range, Space, Template

Picks = Mapping[str, Any]
Pick = Callable[[str, Range | Choice], Any]


@dataclasses.dataclass(frozen=True)
class Point:
  """One config of a space.

  Attributes:
    picks: {name of the axis: number or label}.
    settings: {key of the axis: number or label}, for reports.
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
    if isinstance(axis, Template):
      found |= drawn(axis.axes, prefix=f"{name}.", inside=inside)
    if isinstance(axis, Choice) and axis.spaces:
      for label, branch in zip(axis.labels, axis.values, strict=True):
        found |= drawn(branch, prefix=f"{name}={label}/", inside=name in found)
  return found


def corners(space: Space) -> Iterator[Point]:
  """Yields points that together contain every extreme value of every axis."""
  seen = set()
  waiting: list[dict[str, Any]] = [{}]
  while waiting:
    chosen = waiting.pop()
    met: dict[str, Range | Choice] = {}

    def pick(name, axis, chosen=chosen, met=met):
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


def _crossings_of(
  name: str, axis: Any, everything: bool
) -> Iterator[dict[str, Any]]:
  if isinstance(axis, Template):
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


def _owners(name: str, picks: Picks) -> dict[str, Any]:
  """The picks whose labels are part of a name."""
  return {
    owner: label
    for owner, label in picks.items()
    if name.startswith(f"{owner}={label}/")
  }
