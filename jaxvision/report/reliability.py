"""The report section of reliability: confidence against accuracy."""

import numpy as np

from jaxvision.report import charts, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

_BINS = 15  # as the calibration error of `jaxvision.metrics.classification`


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)`; empty for a run without predictions."""
  if not run.predictions:
    return "Reliability", "", ""
  probabilities = run.predictions["probabilities"]
  right = probabilities.argmax(axis=1) == run.predictions["labels"]
  content = (
    f'<div class="charts">{_diagram(probabilities.max(axis=1), right)}'
    f"{_histogram(probabilities.max(axis=1), right)}</div>"
  )
  return "Reliability", content, _note(run)


def bins(
  confidences: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The predictions in 15 equal bins (i/15, (i+1)/15] of their confidence.

  Guo et al. 2017, "On Calibration of Modern Neural Networks".

  Args:
    confidences: (n,) in [0, 1].
    right: (n,) bool.

  Returns:
    Of each bin, (15,): the number of predictions, their mean confidence, and
    their accuracy; the last two are NaN for an empty bin.
  """
  place = np.clip(np.ceil(confidences * _BINS).astype(int) - 1, 0, _BINS - 1)
  counts = np.bincount(place, minlength=_BINS)
  sums = [
    np.bincount(place, weights=each, minlength=_BINS)
    for each in (confidences, right)
  ]
  with np.errstate(invalid="ignore"):
    return counts, sums[0] / counts, sums[1] / counts


def _diagram(confidences: np.ndarray, right: np.ndarray) -> str:
  _, mean, accuracy = bins(confidences, right)
  ends = np.array([0.0, 100.0])
  x = "confidence"
  return charts.figure(
    charts.Chart(
      [
        charts.Series("calibrated", {x: ends}, ends, "soft", "dotted"),
        charts.Series(
          "model",
          {x: 100 * mean[~np.isnan(mean)]},
          100 * accuracy[~np.isnan(mean)],
          "train",
        ),
      ],
      title="Reliability diagram",
      axes={x: "mean confidence of a bin (%)"},
      label="accuracy (%)",
      bounds={"x": (0, 100), "y": (0, 100)},
    )
  )


def _histogram(confidences: np.ndarray, right: np.ndarray) -> str:
  centres = 100 * (np.arange(_BINS) + 0.5) / _BINS
  x = "confidence"
  return charts.figure(
    charts.Chart(
      [
        charts.Series(name, {x: centres}, counts, colour)
        for name, colour, counts in (
          ("right", "train", bins(confidences[right], right[right])[0]),
          ("wrong", "validation", bins(confidences[~right], right[~right])[0]),
        )
      ],
      title="Confidences",
      axes={x: "confidence (%)"},
      label="predictions",
      kind="bars",
      logarithm="offered",
      bounds={"x": (0, 100)},
    )
  )


def _note(run: Run) -> str:
  _, metrics = reading.final(run)
  error = numbers.percent(metrics.get("calibration_error"))
  return (
    f"{numbers.integer(len(run.predictions['labels']))} predictions in "
    f"{_BINS} bins of equal width. A calibrated model has the accuracy of its "
    f"confidence: the curve is the diagonal. Expected calibration error: "
    f"{error}."
  )
