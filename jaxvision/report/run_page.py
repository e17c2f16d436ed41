"""The report page of one run."""

import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.report import (
  figures,
  html,
  numbers,
  predictions,
  provenance,
  speed,
  task_pages,
)
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# (prefix in the log, label, colour, dash) of the curves of each split.
_SPLITS = (
  ("train", "train", "train", "solid"),
  ("validation", "validation", "validation", "solid"),
  ("validation_ema", "validation, EMA", "ema", "dashed"),
)

# Style of a state; other states have the style "warn".
_STATES = {"finished": "good", "stopped": "bad"}

# Metrics of feature probes in the log, as "validation/knn(k=20)/top1", and the
# colours and dashes of their curves, in order.
_PROBE = re.compile(r"validation(?:_ema)?/(?P<name>.+/(?:\d+shot_)?top1)")
_STYLES = tuple(
  (colour, dash)
  for dash in ("solid", "dashed", "dotted")
  for colour in ("train", "validation", "test", "ema")
)

# Maximum number of filters that are shown; more are slow to draw.
_MOST_FILTERS = 256


def write_report(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes `report.html` of a run, finished or not, into its folder.

  The page needs no network and no other file. The report of an unfinished run
  has the sections with data, and a list of the missing data.

  Returns:
    The path of the page.

  Raises:
    FileNotFoundError: the folder is not a run.
    ValueError: `config.json` is damaged.
  """
  run = reading.read_run(workdir)
  path = run.workdir / "report.html"
  files.write_text(path, _document(run))
  return path


def is_whole(path: pathlib.Path) -> bool:
  """Whether a report exists and is complete."""
  try:
    return path.read_bytes().rstrip().endswith(b"</html>")
  except OSError:
    return False


def _document(run: Run) -> str:
  sections = {
    title: html.section(title, content=content, note=note)
    for title, content, note in (
      ("Learning curves", _curves(run), _curves_note(run)),
      ("Metrics", predictions.metrics(run), ""),
      *predictions.parts(run),
      *task_pages.parts(run),
      ("First-layer filters", *_filters(run)),
      speed.section(run),
      *provenance.parts(run),
    )
  }
  shown = [title for title, content in sections.items() if content]
  body = _header(run) + html.navigation(shown) + "".join(sections.values())
  return html.document(f"{headline(run)} · {_subject(run)}", body=body)


def headline(run: Run) -> str:
  """The result in short: '98.61% test accuracy'."""
  split, metrics = reading.final(run)
  if "top1" in metrics:
    return f"{numbers.percent(metrics['top1'])} {split} accuracy"
  if "loss" in metrics:
    return f"{numbers.significant(metrics['loss'])} {split} loss"
  _, accuracies = reading.series(run, "validation/top1")
  if np.isfinite(accuracies).any():
    best = numbers.percent(np.nanmax(accuracies))
    return f"{best} validation accuracy so far"
  return "No accuracy yet"


def status(run: Run) -> str:
  """The state of the run in one word, without the details of the record."""
  return re.match(r"\w*", _status_text(run))[0]


def _status_text(run: Run) -> str:
  return str(run.result.get("status", "unfinished"))


def _subject(run: Run) -> str:
  names = (run.config.get(part, {}).get("name") for part in ("data", "model"))
  return " · ".join(str(name) for name in names if name)


def _header(run: Run) -> str:
  state = status(run)
  style = _STATES.get(state, "warn")
  details = _status_text(run).removeprefix(state).strip(": ")
  problems = "".join(f"<li>{html.escape(line)}</li>" for line in run.problems)
  return (
    f'<header><p class="kicker">{html.escape(_subject(run))} · '
    f"{html.escape(run.workdir)}</p><h1>{html.escape(headline(run))}</h1>"
    f'<p><span class="status {style}">{html.escape(state)}</span>'
    f'<span class="soft">{html.escape(_summary(run))}</span></p>'
    + (f"<p>{html.escape(details)}</p>" if details else "")
    + html.tiles(_facts(run))
    + (f'<ul class="problems">{problems}</ul>' if problems else "")
    + "</header>"
  )


def _summary(run: Run) -> str:
  parts = []
  if "confusion" in run.evaluation:
    confusion = run.evaluation["confusion"]
    wrong = int(confusion.sum() - np.trace(confusion))
    total = numbers.integer(confusion.sum())
    parts.append(f"{numbers.integer(wrong)} of {total} images wrong")
  if run.environment:
    parts.append(str(run.environment[-1].get("devices", "")))
    parts.append(str(run.environment[0].get("started", "")))
  return " · ".join(part for part in parts if part)


def _facts(run: Run) -> dict[str, str]:
  result = run.result
  split, metrics = reading.final(run)
  _, speeds = reading.series(run, "images_per_second")
  speed = float(np.median(speeds)) if speeds.size else None
  facts = {
    f"{split} loss": numbers.significant(metrics.get("loss")),
    f"{split} top-5": numbers.percent(metrics.get("top5")),
    f"{split} F1, macro": numbers.percent(metrics.get("f1_macro")),
    "calibration error": numbers.percent(metrics.get("calibration_error")),
    **_best(result.get("best") or {}),
    "steps": _steps(run),
    "time": numbers.duration(result.get("seconds")),
    "images per second": numbers.magnitude(speed),
    "parameters": numbers.magnitude(result.get("parameters")),
    "FLOPs per image": numbers.magnitude(result.get("flops_per_image")),
    "memory": numbers.magnitude(result.get("memory_bytes"), unit="B"),
  }
  return {name: text for name, text in facts.items() if text != numbers.NOTHING}


def _best(best: Mapping[str, Any]) -> dict[str, str]:
  name = str(best.get("metric", ""))
  value = numbers.metric(name.rpartition("/")[2], best.get("value"))
  return {f"best {name}": value, "at step": numbers.integer(best.get("step"))}


def _steps(run: Run) -> str:
  total = run.result.get("total_steps")
  step = run.result.get("step", run.lines[-1]["step"] if run.lines else None)
  if step is None or step == total:
    return numbers.integer(step)
  return f"{numbers.integer(step)} of {numbers.integer(total)}"


def _curves(run: Run) -> str:
  charts = (
    _split_chart(run, "loss", title="Loss", label="loss (nats)"),
    _split_chart(run, "top1", title="Accuracy", label="top-1 accuracy (%)"),
    _probe_chart(run),
    *_suite_charts(run),
    _single_chart(
      run, "learning_rate", title="Learning rate", label="learning rate"
    ),
    _single_chart(
      run, "gradient_norm", title="Gradient", label="gradient norm (global)"
    ),
  )
  return f'<div class="charts">{"".join(charts)}</div>' if any(charts) else ""


def _split_chart(run: Run, metric: str, *, title: str, label: str) -> str:
  curves, entries = [], []
  for prefix, name, colour, dash in _SPLITS:
    steps, values = reading.series(run, f"{prefix}/{metric}")
    if steps.size:
      scale = 100 if metric == "top1" else 1
      curves.append(figures.Curve(steps, scale * values, colour, dash))
      last = numbers.metric(metric, values[-1])
      entries.append((f"{name} {last}", colour, dash))
  split, metrics = reading.final(run)
  value = metrics.get(metric)
  if curves and numbers.is_number(value) and metric == "top1":
    step = run.result.get("step", run.lines[-1]["step"])
    point = np.array([step]), np.array([100.0 * value])
    curves.append(figures.Curve(*point, "test"))
    text = f"{split} {numbers.metric(metric, value)}"
    entries.append((text, "test", "solid"))
  return _chart(
    run, curves, title=title, label=label, caption=html.legend(entries)
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


def _curves_note(run: Run) -> str:
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


def _filters(run: Run) -> tuple[str, str]:
  if not run.first_layer:
    return "", ""
  filters = run.first_layer["filters"]
  images = figures.filter_images(filters[:_MOST_FILTERS])
  names = reading.class_names(run)
  linear = run.config.get("model", {}).get("name") == "linear"
  if linear and len(names) == len(filters):
    content = _templates(images, names)
  else:
    uri = figures.image_uri(figures.tile(images))
    content = (
      f'<div class="card"><img class="pixels sheet" src="{uri}" '
      'alt="the filters of the first layer, side by side"></div>'
    )
  return content, _filters_note(run, shown=len(images))


def _filters_note(run: Run, *, shown: int) -> str:
  count, height, width, channels = run.first_layer["filters"].shape
  some = f"The first {shown} of {count}" if shown < count else f"All {count}"
  signs = (
    "grey is 0"
    if channels == 3
    else "blue is positive, orange is negative, transparent is 0"
  )
  return (
    f"{some} filters of {run.first_layer['name']}, {height} x {width} x "
    f"{channels}; each is scaled by its largest weight: {signs}."
  )


def _templates(images: np.ndarray, names: tuple[str, ...]) -> str:
  pictures = "".join(
    f'<div><img class="pixels" src="{figures.image_uri(image)}" '
    f'alt="template of {html.escape(name)}"><p>{html.escape(name)}</p></div>'
    for image, name in zip(images, names, strict=False)
  )
  return f'<div class="pictures small">{pictures}</div>'
