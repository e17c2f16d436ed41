"""The report section of learning curves, over steps, epochs and time."""

import itertools
import re
from collections.abc import Iterator, Mapping

import numpy as np

from jaxvision.report import charts, measures, numbers, run_axes
from jaxvision.report.run_axes import Axes
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# (prefix in the log, colour, dash) of the curves of each split.
_SPLITS = (
  ("train", "train", "solid"),
  ("validation", "validation", "solid"),
  ("validation_ema", "ema", "dashed"),
)

# Metrics of feature probes in the log, as "validation/knn(k=20)/top1", and the
# colours and dashes of their curves, in order.
_PROBE = re.compile(r"validation(?:_ema)?/(?P<name>.+/(?:\d+shot_)?top1)")
_STYLES = tuple(
  (colour, dash)
  for dash in ("solid", "dashed", "dotted")
  for colour in ("train", "validation", "test", "ema")
)


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)`; empty if nothing was logged."""
  main, axes = measures.main_of(run), run_axes.of((run,))
  shown = dict.fromkeys(("loss", main, "agreement"))
  drawn = (
    *(_split_chart(run, name, axes) for name in shown),
    _probe_chart(run, axes),
    *_suite_charts(run, axes),
    _single_chart(run, "learning_rate", axes, label="learning rate"),
    _single_chart(run, "gradient_norm", axes, label="gradient norm (global)"),
  )
  content = "".join(drawn)
  if content:
    content = (
      f'{charts.controls(axes.labels)}<div class="charts">{content}</div>'
    )
  return "Learning curves", content, _note(run)


def _split_chart(run: Run, metric: str, axes: Axes) -> str:
  curves = []
  scale = numbers.scale(metric)
  for prefix, colour, dash in _SPLITS:
    name = reading.averaged(run, prefix)
    steps, values = reading.series(run, f"{prefix}/{metric}")
    if steps.size:
      last = numbers.metric(metric, values[-1])
      curves.append(
        run_axes.curve(
          run,
          steps,
          scale * values,
          name=name,
          axes=axes,
          style=(colour, dash),
          note=last,
        )
      )
  split, final = reading.final(run)
  value = final.get(metric)
  own = metric != "loss" and not split.startswith("validation")
  if curves and own and numbers.is_number(value):
    step = run.result.get("step", run.lines[-1]["step"])
    point = np.array([step]), np.array([scale * float(value)])
    note = numbers.metric(metric, value)
    style = ("test", "solid")
    curves.append(
      run_axes.curve(run, *point, name=split, axes=axes, style=style, note=note)
    )
  title = {"loss": "Loss", "top1": "Accuracy"}.get(metric, metric)
  return _chart(
    run, curves, axes, title=title, label=measures.axis(metric, run)
  )


def _probe_chart(run: Run, axes: Axes) -> str:
  """The accuracies of the feature probes; "" if there are no probes."""
  logged = dict.fromkeys(name for line in run.lines for name in line)
  probes = [match for name in logged if (match := _PROBE.fullmatch(name))]
  return _many_chart(
    run,
    axes,
    {match[0]: match["name"].removesuffix("/top1") for match in probes},
    shares=True,
    title="Feature probes",
    label="top-1 accuracy of probes (%)",
  )


def _suite_charts(run: Run, axes: Axes) -> Iterator[str]:
  """A chart of the metrics of each suite."""
  logged = dict.fromkeys(name for line in run.lines for name in line)
  for call in run.config.get("evaluate", {}).get("suites", ()):
    suite = str(call).partition("(")[0].strip()
    pattern = re.compile(rf"validation(?:_ema)?/{re.escape(suite)}/(.+)")
    found = [match for name in logged if (match := pattern.fullmatch(name))]
    yield _many_chart(
      run,
      axes,
      {match[0]: match[1] for match in found},
      shares=False,
      title=f"Suite: {suite}",
      label=suite,
    )


def _many_chart(
  run: Run,
  axes: Axes,
  names: Mapping[str, str],
  *,
  shares: bool,
  title: str,
  label: str,
) -> str:
  """The curves of metrics, {name in the log: name in the legend}."""
  curves = []
  scale, kind = (100, "top1") if shares else (1, "")
  for (name, shown), style in zip(
    names.items(), itertools.cycle(_STYLES), strict=False
  ):
    steps, values = reading.series(run, name)
    note = numbers.metric(kind, values[-1])
    curves.append(
      run_axes.curve(
        run,
        steps,
        scale * values,
        name=shown,
        axes=axes,
        style=style,
        note=note,
      )
    )
  return _chart(run, curves, axes, title=title, label=label)


def _single_chart(run: Run, name: str, axes: Axes, *, label: str) -> str:
  steps, values = reading.series(run, name)
  if not steps.size:
    return ""
  one = run_axes.curve(run, steps, values, name="", axes=axes)
  title = {"gradient_norm": "Gradient"}.get(name, label.capitalize())
  return _chart(run, [one], axes, title=title, label=label)


def _chart(
  run: Run,
  curves: list[charts.Series],
  axes: Axes,
  *,
  title: str,
  label: str,
) -> str:
  if not curves:
    return ""
  return charts.figure(
    charts.Chart(
      curves,
      title=title,
      axes=axes.labels,
      label=label,
      logarithm="if wide" if title in ("Loss", "Gradient") else "offered",
      marks=run_axes.places(run, np.array(_restarts(run)), axes),
    )
  )


def _restarts(run: Run) -> list[int]:
  return [int(entry.get("step", 0)) for entry in run.environment[1:]]


def _note(run: Run) -> str:
  notes = []
  if restarts := _restarts(run):
    steps = ", ".join(numbers.integer(step) for step in restarts)
    notes.append(f"Dotted lines: the run was resumed at step {steps}.")
  values = [value for line in run.lines for value in line.values()]
  gaps = sum(
    value is None or (isinstance(value, float) and not np.isfinite(value))
    for value in values
  )
  if gaps:
    notes.append(f"Gaps: {gaps} of the logged values are not finite.")
  return " ".join(notes)
