"""The history of a search in the trials of a storage.

A child is a leader and its followers: the trials of one draw, which differ in
the seed and the fold. It has ended when all of them have ended. Its value is
the mean over the trials with a value. A pruned trial has the last value of its
metric. A failed trial has none, and a child without a value has failed.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from jaxvision.sweeps import search
from jaxvision.sweeps.experiment.proposals import Search

# The user attribute of a proposed trial: number, picks and notes of the child.
PROPOSAL = "proposal"


def origin(frozen: Any) -> int:
  """The number of the first attempt of a trial."""
  return frozen.user_attrs["origin"]


def latest(trials: Sequence[Any]) -> list[Any]:
  """The last attempt of each trial; the older one of two successors."""
  found, succeeded = {}, set()
  for frozen in trials:
    before = frozen.user_attrs.get("succeeds")
    if before is None or before not in succeeded:
      found[origin(frozen)] = frozen
      succeeded.add(before)
  return list(found.values())


def has_ended(frozen: Any) -> bool:
  """Whether a trial has ended and is not waiting for a retry."""
  failed = frozen.state.name == "FAIL" and "reason" in frozen.user_attrs
  return failed or frozen.state.name in ("COMPLETE", "PRUNED")


def crossed(frozen: Any, of: Search) -> dict[str, Any]:
  """The crossed picks of a trial, without those of repetitions."""
  fixed = frozen.system_attrs.get("fixed_params", {})
  return {
    name: pick
    for name, pick in fixed.items()
    if name not in of.decisions and name not in of.repeated
  }


def children(
  frozen: Any,
  trials: Sequence[Any],
  *,
  of: Search,
  sign: int,
) -> tuple[list[search.Child], list[search.Child]]:
  """Returns the children with the crossed picks of a trial.

  Args:
    frozen: a leader.
    trials: all trials of the storage.
    of: the search.
    sign: 1 if larger values are better, -1 if smaller ones are.

  Returns:
    The children that have ended, in the order in which they ended (the lower
    number first if the times are equal), and those that run.
  """
  own = crossed(frozen, of)
  ended, running = [], []
  for group in _groups(trials):
    leader = group[0]
    proposal = leader.user_attrs.get(PROPOSAL)
    if proposal is None or crossed(leader, of) != own:
      continue
    facts = proposal["number"], tuple(proposal["picks"])
    if not all(map(has_ended, group)):
      running.append(search.Child(*facts, notes=proposal["notes"]))
      continue
    child = search.Child(*facts, _value(group, sign), proposal["notes"])
    ended.append((max(each.datetime_complete for each in group), child))
  ended.sort(key=lambda each: (each[0], each[1].number))
  return [child for _, child in ended], running


def _groups(trials: Sequence[Any]) -> Iterator[list[Any]]:
  """Yields each leader with its followers."""
  groups: dict[int, list[Any]] = {}
  for frozen in sorted(latest(trials), key=origin):
    leader = frozen.user_attrs.get("leader", origin(frozen))
    groups.setdefault(leader, []).append(frozen)
  yield from groups.values()


def _value(group: Sequence[Any], sign: int) -> float:
  values = [value for each in group if (value := _result(each)) is not None]
  return sign * statistics.mean(values) if values else -math.inf


def _result(frozen: Any) -> float | None:
  """The value of one trial; None if it failed or is not a number."""
  value = frozen.value if frozen.state.name == "COMPLETE" else None
  if frozen.state.name == "PRUNED" and frozen.intermediate_values:
    value = frozen.intermediate_values[max(frozen.intermediate_values)]
  return value if value is not None and math.isfinite(value) else None
