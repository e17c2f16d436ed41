"""The report section on speed: step time, and the use of wall time."""

from collections.abc import Mapping

import numpy as np

from jaxvision.report import charts, html, numbers, run_axes
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# Parts of the wall time in result.json, and their labels.
_PARTS = {
  "steps": "training steps",
  "evaluating": "evaluations",
  "saving": "waiting for checkpoints",
  "starting": "compiling and restoring",
  "other": "starting processes, downtime, and lost steps",
}


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)`; empty if the run has no step times."""
  steps, typical = reading.series(run, "step_seconds_p50")
  _, slow = reading.series(run, "step_seconds_p95")
  if not steps.size or len(slow) != len(steps):
    return "Speed", "", ""
  axes = run_axes.of((run,))
  times = charts.Chart(
    [
      run_axes.curve(
        run, steps, 1000 * values, name=name, axes=axes, style=look
      )
      for name, values, look in (
        ("median", typical, ("train", "solid")),
        ("95th percentile", slow, ("validation", "dashed")),
      )
    ],
    title="Step time",
    axes=axes.labels,
    label="time of a step (ms)",
    logarithm="if wide",
  )
  content = (
    html.tiles(_facts(run))
    + f'<div class="charts">{charts.figure(times)}{_parts(run.result)}</div>'
  )
  return "Speed", content, _note(run)


def _facts(run: Run) -> dict[str, str]:
  """Medians over the lines of the log; the mean for checkpoints."""
  median = {
    name: float(np.nanmedian(values))
    for name in ("step_seconds_p50", "step_seconds_p95", "data_wait", "mfu")
    if (values := reading.series(run, name)[1]).size
  }
  _, saving = reading.series(run, "saving_seconds")
  facts = {
    "step, median": _milliseconds(median.get("step_seconds_p50")),
    "step, 95th percentile": _milliseconds(median.get("step_seconds_p95")),
    "waiting for data": numbers.percent(median.get("data_wait")),
    "checkpoints, per step": _milliseconds(
      float(np.nanmean(saving)) if saving.size else None
    ),
    "MFU": numbers.percent(median.get("mfu")),
    "goodput": numbers.percent(run.result.get("goodput")),
  }
  return {name: text for name, text in facts.items() if text != numbers.NOTHING}


def _milliseconds(seconds: float | None) -> str:
  if seconds is None:
    return numbers.NOTHING
  return f"{1000 * seconds:.3g} ms"


def _parts(result: Mapping) -> str:
  """A table of the wall time by activity."""
  spent = result.get("seconds_spent") or {}
  spent = {name: each for name, each in spent.items() if each is not None}
  total = sum(spent.values())
  if not total:
    return ""
  rows = [
    (text, spent[name], spent[name] / total)
    for name, text in _PARTS.items()
    if name in spent
  ]
  columns = {
    "time": str,
    "spent": numbers.duration,
    "share": numbers.percent,
  }
  return f'<div class="card">{html.table(columns, rows)}</div>'


def _note(run: Run) -> str:
  notes = ["Step times exclude evaluations and checkpoints."]
  if run.result.get("goodput") is not None:
    notes.append(
      "Goodput is the fraction of the time since the first start that went "
      "into steps that were kept."
    )
  elif reading.is_finished(run.result):
    notes.append(
      "Goodput is unknown: the record of the first start is lost, or the clock "
      "of the machine was set back."
    )
  if reading.series(run, "mfu")[1].size:
    notes.append(
      "MFU is the FLOPs of three forward passes per image, divided by the peak "
      "of the devices."
    )
  return " ".join(notes)
