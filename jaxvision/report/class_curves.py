"""The report section of ROC curves and of precision by recall, by class."""

import numpy as np

from jaxvision.metrics import confusion, operating_curves
from jaxvision.metrics.operating_curves import OperatingCurves
from jaxvision.report import charts
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

MOST_CLASSES = 20


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)`; empty for a run without predictions."""
  title = "ROC, precision and recall"
  if not run.predictions:
    return title, "", ""
  found = {
    index: curves
    for index in _shown(run)
    if (curves := _curves(run, index)) is not None
  }
  if not found:
    return title, "", ""
  content = f'<div class="charts">{_roc(run, found)}{_precision(run, found)}'
  return title, f"{content}</div>", _note(run, len(found))


def _shown(run: Run) -> list[int]:
  """The classes to show: all, or those with the lowest F1, in their order."""
  probabilities = run.predictions["probabilities"]
  matrix = np.zeros((probabilities.shape[1],) * 2, int)
  np.add.at(matrix, (run.predictions["labels"], probabilities.argmax(1)), 1)
  f1 = confusion.class_scores(matrix).f1
  return sorted(np.argsort(f1, kind="stable")[:MOST_CLASSES].tolist())


def _curves(run: Run, index: int) -> OperatingCurves | None:
  return operating_curves.operating_curves(
    run.predictions["probabilities"][:, index],
    run.predictions["labels"] == index,
  )


def _roc(run: Run, found: dict[int, OperatingCurves]) -> str:
  x = "false_positive_rate"
  return _chart(
    run,
    {
      i: ({x: each.false_positive_rate}, each.recall, each.area)
      for i, each in found.items()
    },
    title="ROC",
    axes={x: "false positive rate"},
    label="true positive rate",
  )


def _precision(run: Run, found: dict[int, OperatingCurves]) -> str:
  return _chart(
    run,
    {
      i: ({"recall": each.recall}, each.precision, each.average_precision)
      for i, each in found.items()
    },
    title="Precision and recall",
    axes={"recall": "recall"},
    label="precision",
  )


def _chart(run: Run, found, **options) -> str:
  names = reading.class_names(run)
  return charts.figure(
    charts.Chart(
      [
        charts.Series(names[i], x, y, *charts.style(place), note=f"{area:.3f}")
        for place, (i, (x, y, area)) in enumerate(found.items())
      ],
      bounds={"x": (0, 1), "y": (0, 1)},
      **options,
    )
  )


def _note(run: Run, shown: int) -> str:
  count = len(reading.class_names(run))
  some = (
    f"The {shown} of {count} classes with the lowest F1. "
    if shown < count
    else ""
  )
  return (
    f"{some}Each class against all others, for all thresholds of its "
    "probability. The numbers beside the names are the area below the ROC "
    "curve and the average precision."
  )
