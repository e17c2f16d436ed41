"""Groups of runs that differ in seed and fold only, and their statistics."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxvision.report import measures, numbers, significance
from jaxvision.runs import reading
from jaxvision.runs.reading import Run
from jaxvision.runs.sweep_folder import FOLD, SEED

# The config keys that differ within a group.
REPEATED = (SEED, FOLD)


@dataclasses.dataclass(frozen=True)
class Group:
  """Runs whose configs differ in the seed and the fold only.

  Attributes:
    settings: the values of the config keys that differ between groups.
    members: the runs, best first.
    metric: the metric that is compared.
  """

  settings: tuple[str, ...]
  members: tuple[Run, ...]
  metric: str


def final_value(run: Run, metric: str) -> float:
  """A metric of the final split; NaN if the run has none."""
  value = reading.final(run)[1].get(metric)
  return float(value) if numbers.is_number(value) else float("nan")


def sort_key(value: float, metric: str) -> tuple[bool, float]:
  """A key that sorts the best value first and NaN last."""
  sign = 1 if measures.is_smaller_better(metric) else -1
  return bool(np.isnan(value)), sign * value


def groups(
  ranked: Sequence[Run], keys: Sequence[str], metric: str
) -> list[Group]:
  """Groups runs whose settings of `keys` are equal; the best mean is first."""
  members: dict[tuple[str, ...], list[Run]] = {}
  for run in ranked:
    members.setdefault(settings(run, keys), []).append(run)
  found = [Group(key, tuple(of_key), metric) for key, of_key in members.items()]
  return sorted(found, key=_group_rank)


def _group_rank(group: Group) -> tuple[bool, float]:
  mean = statistics(group)[0]
  return sort_key(float("nan") if mean is None else mean, group.metric)


def statistics(group: Group) -> tuple[float | None, float | None]:
  """Mean and sample standard deviation of the values that are known."""
  values = [final_value(run, group.metric) for run in group.members]
  values = [value for value in values if not np.isnan(value)]
  mean = float(np.mean(values)) if values else None
  return mean, float(np.std(values, ddof=1)) if len(values) > 1 else None


def differences(
  groups: Sequence[Group],
) -> list[tuple[float | None, float | None]]:
  """The difference of each mean to the first one, and its p-value.

  The p-values are those of `significance.p_value`, corrected by Holm (1979) for
  the number of differences. None for the first group, for a group without
  values, and for p-values that need more of them.
  """
  first, *others = map(_by_repetition, groups)
  values = significance.holm(
    [significance.p_value(first, each) for each in others]
  )
  best = statistics(groups[0])[0]
  found: list[tuple[float | None, float | None]] = [(None, None)]
  for group, p in zip(groups[1:], values, strict=True):
    mean = statistics(group)[0]
    known = mean is not None and best is not None
    found.append((mean - best if known else None, None if np.isnan(p) else p))
  return found


def _by_repetition(group: Group) -> dict[object, float]:
  """The known values by seed and fold; by run if two runs have the same."""
  known = {
    run.workdir: (settings(run, REPEATED), value)
    for run in group.members
    if not np.isnan(value := final_value(run, group.metric))
  }
  by_repetition = dict(known.values())
  if len(by_repetition) == len(known):
    return by_repetition
  return {workdir: value for workdir, (_, value) in known.items()}


def settings(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
  """The values of some config keys of a run, as text."""
  flat = reading.flatten(run.config)
  return tuple(
    str(flat[key]) if key in flat else numbers.NOTHING for key in keys
  )
