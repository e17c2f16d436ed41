"""The report section of learning curves, over steps and epochs."""

import itertools
import re
from collections.abc import Iterator, Mapping

import numpy as np

from jaxvision.report import figures, html, measures, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# (prefix in the log, label, colour, dash) of the curves of each split.
_SPLITS = (
  ("train", "train", "train", "solid"),
  ("validation", "validation", "validation", "solid"),
  ("validation_ema", "validation (EMA)", "ema", "dashed"),
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
  main = measures.main_of(run)
  shown = dict.fromkeys(("loss", main, "agreement"))
  charts = (
    *(_split_chart(run, name) for name in shown),
    _probe_chart(run),
    *_suite_charts(run),
    _single_chart(
      run, "learning_rate", title="Learning rate", label="learning rate"
    ),
    _single_chart(
      run, "gradient_norm", title="Gradient", label="gradient norm (global)"
    ),
  )
  content = f'<div class="charts">{"".join(charts)}</div>' * any(charts)
  return "Learning curves", content, _note(run)


def _split_chart(run: Run, metric: str) -> str:
  curves, entries = [], []
  scale = 100 if numbers.is_share(metric) else 1
  for prefix, name, colour, dash in _SPLITS:
    steps, values = reading.series(run, f"{prefix}/{metric}")
    if steps.size:
      curves.append(figures.Curve(steps, scale * values, colour, dash))
      last = numbers.metric(metric, values[-1])
      entries.append((f"{name} {last}", colour, dash))
  split, final = reading.final(run)
  value = final.get(metric)
  own = metric != "loss" and not split.startswith("validation")
  if curves and own and numbers.is_number(value):
    step = run.result.get("step", run.lines[-1]["step"])
    point = np.array([step]), np.array([scale * float(value)])
    curves.append(figures.Curve(*point, "test"))
    text = f"{split} {numbers.metric(metric, value)}"
    entries.append((text, "test", "solid"))
  title = {"loss": "Loss", "top1": "Accuracy"}.get(metric, metric)
  return _chart(
    run,
    curves,
    title=title,
    label=measures.axis(metric, run),
    caption=html.legend(entries),
  )


def _probe_chart(run: Run) -> str:
  """The accuracies of the feature probes; "" if there are no probes."""
  logged = dict.fromkeys(name for line in run.lines for name in line)
  probes = [match for name in logged if (match := _PROBE.fullmatch(name))]
  return _many_chart(
    run,
    {match[0]: match["name"].removesuffix("/top1") for match in probes},
    shares=True,
    title="Feature probes",
    label="top-1 accuracy of probes (%)",
  )


def _suite_charts(run: Run) -> Iterator[str]:
  """A chart of the metrics of each suite."""
  logged = dict.fromkeys(name for line in run.lines for name in line)
  for call in run.config.get("evaluate", {}).get("suites", ()):
    suite = str(call).partition("(")[0].strip()
    pattern = re.compile(rf"validation(?:_ema)?/{re.escape(suite)}/(.+)")
    found = [match for name in logged if (match := pattern.fullmatch(name))]
    yield _many_chart(
      run,
      {match[0]: match[1] for match in found},
      shares=False,
      title=f"Suite: {suite}",
      label=suite,
    )


def _many_chart(
  run: Run, names: Mapping[str, str], *, shares: bool, title: str, label: str
) -> str:
  """The curves of metrics, {name in the log: name in the legend}."""
  curves, entries = [], []
  scale, kind = (100, "top1") if shares else (1, "")
  for (name, shown), style in zip(
    names.items(), itertools.cycle(_STYLES), strict=False
  ):
    steps, values = reading.series(run, name)
    curves.append(figures.Curve(steps, scale * values, *style))
    entries.append((f"{shown} {numbers.metric(kind, values[-1])}", *style))
  return _chart(
    run, curves, title=title, label=label, caption=html.legend(entries)
  )


def _single_chart(run: Run, name: str, *, title: str, label: str) -> str:
  steps, values = reading.series(run, name)
  curves = [figures.Curve(steps, values, "train")] if steps.size else []
  return _chart(run, curves, title=title, label=label, height=1.9)


def _chart(
  run: Run,
  curves: list[figures.Curve],
  *,
  title: str,
  label: str,
  height: float = 2.9,
  caption: str = "",
) -> str:
  if not curves:
    return ""
  chart = figures.line_chart(
    curves,
    label=label,
    height=height,
    steps_per_epoch=reading.steps_per_epoch(run),
    restarts=_restarts(run),
    positive=title in ("Loss", "Gradient"),
  )
  return html.figure(chart, title=title, caption=caption)


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
