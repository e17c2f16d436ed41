"""The best children of each searcher: a table, and their cells as graphs."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import genotypes
from jaxvision.report import html, numbers, search_progress, settings_tables
from jaxvision.report.search_progress import Found
from jaxvision.runs import reading
from jaxvision.runs.search_folder import Search

_BEST = 3  # children of each searcher
NOTE = (
  "Equivalent children are one. The value is the mean over all of their "
  "trainings. The value of the best of many children is too optimistic."
)


def best_children(
  search: Search, searchers: Mapping[str, Sequence[Sequence[Found]]]
) -> str:
  """The best children of each searcher; "" if no child is complete.

  Args:
    search: the search.
    searchers: as from `search_progress.by_searcher`.
  """
  return "".join(
    _best_of(search, name, [each for children in found for each in children])
    for name, found in searchers.items()
  )


def _best_of(search: Search, name: str, children: Sequence[Found]) -> str:
  """A table and pictures of the best children of a searcher."""
  equal: dict[Hashable, list[Found]] = {}
  for each in children:
    if each.child.value is not None:
      equal.setdefault(each.identity, []).append(each)
  best = sorted(equal.values(), key=lambda group: -search.sign * _mean(group))
  if not best:
    return ""
  best = best[:_BEST]
  columns = {
    "child": str,
    search.metric: numbers.significant,
    "times found": numbers.integer,
    "parameters": numbers.magnitude,
    "FLOPs": numbers.magnitude,
    "settings": str,
  }
  table = html.table(columns, [_row(search, group) for group in best])
  pictures = "".join(_pictures(search, group) for group in best)
  gallery = f'<div class="charts">{pictures}</div>' if pictures else ""
  return f'<h3>{html.escape(name)}</h3><div class="card">{table}</div>{gallery}'


def _row(search: Search, group: Sequence[Found]) -> list[Any]:
  first = group[0]
  result = _result(search, first)
  return [
    _title(first),
    _mean(group),
    len(group),
    result.get("parameters"),
    result.get("flops_per_image"),
    settings_tables.text(first.child.settings),
  ]


def _title(found: Found) -> str:
  return f"{found.part.name}, child {found.child.number}"


def _mean(group: Sequence[Found]) -> float:
  return float(np.mean([each.child.value for each in group]))


def _result(search: Search, found: Found) -> Mapping[str, Any]:
  """The result of the first run of a child; {} if it cannot be read."""
  number = found.child.trials[0].number
  folder = search.workdir / found.part.name / "trials" / f"{number:04d}"
  try:
    return reading.read_run(folder).result
  except (ValueError, OSError):
    return {}


def _pictures(search: Search, group: Sequence[Found]) -> str:
  """The cells of a child as graphs."""
  first, parts = group[0], ""
  for key, space in search.definition["genotypes"].items():
    if genotype := first.child.settings.get(key):
      value = numbers.metric(search.metric, _mean(group))
      number = search_progress.hash_of(space, genotype)
      parts += html.figure(
        genotypes.draw(genotype),
        title=f"{_title(first)}: {value}",
        caption=f"{number}: <code>{html.escape(genotype)}</code>",
      )
  return parts
