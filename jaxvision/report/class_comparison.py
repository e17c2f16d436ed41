"""What runs decide differently: the scores of classes, and single examples."""

from collections.abc import Sequence

import numpy as np

from jaxvision.metrics import confusion
from jaxvision.report import html, numbers, significance
from jaxvision.report.seeds import Group
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

_COMPARED = 6  # groups with a column

CLASSES_NOTE = (
  "The F1 score of each class, as the mean over the runs of a group. range is "
  "the largest score minus the smallest one; the class with the largest range "
  "is first. Differences of a class with few images are mostly due to chance."
)
DECISIONS_NOTE = (
  "Each run is compared with the best one, example by example. p is that of "
  "McNemar's exact test of equal accuracies, corrected for the number of "
  "comparisons (Holm). It tells whether these two networks differ on other "
  "images of the same kind. It does not tell whether another seed would give "
  "the same order: repeat the runs with more seeds for that."
)


def classes(groups: Sequence[Group], labels: Sequence[str]) -> str:
  """A table with the F1 score of each class in each group.

  Args:
    groups: best first.
    labels: a name for each group.

  Returns:
    HTML; "" unless two groups have scores of the same classes.
  """
  known = [
    (label, group.members)
    for label, group in zip(labels, groups, strict=True)
    if all("confusion" in run.evaluation for run in group.members)
  ][:_COMPARED]
  if len({reading.class_names(r) for _, runs in known for r in runs}) != 1:
    return ""
  if len(known) < 2:
    return ""
  scores = {label: _f1(runs) for label, runs in known}
  table = np.array([*scores.values()])
  spans = np.nan_to_num(table.max(axis=0) - table.min(axis=0), nan=-1.0)
  first = known[0][1][0]
  images = first.evaluation["confusion"].sum(axis=1)
  names = reading.class_names(first)
  columns = {
    "class": str,
    "images": numbers.integer,
    **dict.fromkeys(scores, numbers.percent),
    "range": numbers.percent,
  }
  rows = [
    [
      names[i],
      int(images[i]),
      *table[:, i].tolist(),
      float(spans[i]) if spans[i] >= 0 else None,
    ]
    for i in np.argsort(-spans, kind="stable")
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def _f1(runs: Sequence[Run]) -> np.ndarray:
  """(k,) mean F1 scores; NaN if a score is undefined."""
  return np.mean(
    [confusion.class_scores(run.evaluation["confusion"]).f1 for run in runs],
    axis=0,
  )


def decisions(groups: Sequence[Group], labels: Sequence[str]) -> str:
  """A table of the examples that the best run and others decide differently.

  Args:
    groups: best first.
    labels: a name for each group.

  Returns:
    HTML; "" if a group has several runs, whose spread over seeds is the better
    answer, or if no run has predictions of the same examples as the best one.
  """
  if any(len(group.members) > 1 for group in groups):
    return ""
  best, *others = [group.members[0] for group in groups]
  compared = [
    (label, _right(best), _right(run))
    for label, run in zip(labels[1:], others, strict=True)
    if _are_of_the_same(best, run)
  ]
  if not compared:
    return ""
  counts = [(np.sum(a & ~b), np.sum(b & ~a)) for _, a, b in compared]
  values = significance.holm([significance.mcnemar(*each) for each in counts])
  columns = {
    "run": str,
    "examples": numbers.integer,
    "both right": numbers.integer,
    "only the best": numbers.integer,
    "only this one": numbers.integer,
    "both wrong": numbers.integer,
    "p": numbers.significant,
  }
  rows = [
    [
      label,
      len(a),
      int(np.sum(a & b)),
      *map(int, count),
      int(np.sum(~a & ~b)),
      p,
    ]
    for (label, a, b), count, p in zip(compared, counts, values, strict=True)
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def _right(run: Run) -> np.ndarray:
  """(n,) bool, whether the most probable class is the label."""
  predictions = run.predictions
  return predictions["probabilities"].argmax(axis=1) == predictions["labels"]


def _are_of_the_same(a: Run, b: Run) -> bool:
  """Whether two runs have predictions of the same examples."""
  if not a.predictions or not b.predictions:
    return False
  if _split(a) != _split(b):  # the split of the data, averaged or not
    return False
  return all(
    np.array_equal(a.predictions[name], b.predictions[name])
    for name in ("positions", "labels")
  )


def _split(run: Run) -> str:
  return reading.final(run)[0].partition(" (")[0]
