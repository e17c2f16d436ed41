"""A space of configs: {config key: value or axis}, and what points it has.

An axis is known by its name: its key, after the labels it depends on, as in
"optimizer=sgd/optimizer.learning_rate". `picks` are {name: number or label};
they say all of a point, and the space makes overrides of the config of them.
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
    picks: the number or label of each axis, by name.
    settings: the same by the key alone, for people.
    overrides: of the base config.
  """

  picks: dict[str, Any]
  settings: dict[str, Any]
  overrides: dict[str, Any]


def resolve(space: Space, pick: Pick) -> Point:
  """The point for which `pick(name, axis)` says where each axis is.

  Only those axes are asked for that exist under the labels picked so far.
  """
  point = Point({}, {}, {})
  _resolve(space, pick, point, "")
  return point


def crossings(
  space: Space, *, everything: bool = False, prefix: str = ""
) -> Iterator[dict[str, Any]]:
  """The picks of the axes that are crossed, each with each.

  Args:
    space: what it says.
    everything: cross what would be drawn, too.
    prefix: of the names.

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
  """All axes that are drawn, by name; `inside` says that they all are."""
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
  """Points that together have every extreme value of every axis."""
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
            # Those it depends on stay, so that it exists there, too.
            waiting.append({**_owners(name, chosen), name: value})


def describe(space: Space) -> dict[str, str]:
  """What a space says, as text: two that say the same are the same."""
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
      f"{name} is a range from {axis.low} to {axis.high}, which no grid can "
      "list; write grid(...) with its values, or take another --searcher"
    )
  else:
    yield {}


def _owners(name: str, picks: Picks) -> dict[str, Any]:
  """The picks whose labels stand in a name."""
  return {
    owner: label
    for owner, label in picks.items()
    if name.startswith(f"{owner}={label}/")
  }
