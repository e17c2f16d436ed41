"""The report page of one run."""

import pathlib
import re

import numpy as np

from jaxvision import files
from jaxvision.report import (
  charts,
  class_curves,
  embedding,
  examples,
  figures,
  html,
  learning_curves,
  measures,
  numbers,
  predictions,
  provenance,
  reliability,
  speed,
  task_pages,
)
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# Style of a state; other states have the style "warn".
_STATES = {"finished": "good", "stopped": "bad"}

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
  sections = html.sections(
    [
      learning_curves.section(run),
      ("Metrics", predictions.metrics(run), ""),
      *predictions.parts(run),
      examples.section(run),
      reliability.section(run),
      class_curves.section(run),
      embedding.section(run),
      *task_pages.parts(run),
      ("First-layer filters", *_filters(run)),
      speed.section(run),
      *provenance.parts(run),
    ]
  )
  body = _header(run) + sections
  return html.document(
    f"{headline(run)} · {_subject(run)}",
    body=body,
    scripts=charts.scripts() + examples.scripts(),
  )


def headline(run: Run) -> str:
  """The result in short: '98.61% test accuracy'."""
  split, metrics = reading.final(run)
  name = measures.main_of(run)
  label = "accuracy" if name == "top1" else name
  if name in metrics:
    return f"{numbers.metric(name, metrics[name])} {split} {label}"
  _, values = reading.series(run, f"validation/{name}")
  if np.isfinite(values).any():
    smaller = measures.is_smaller_better(name)
    best = np.nanmin(values) if smaller else np.nanmax(values)
    return f"{numbers.metric(name, best)} validation {label} so far"
  return "No evaluation yet"


def status(run: Run) -> str:
  """The state of the run in one word, without the details of the record."""
  return re.match(r"\w*", _status_text(run))[0]


def _status_text(run: Run) -> str:
  return str(run.result.get("status", "unfinished"))


def _subject(run: Run) -> str:
  data, model = (run.config.get(part, {}) for part in ("data", "model"))
  # The name is that of the default config if the data are a mixture.
  mixture = data.get("kind") == "mixture"
  names = ("mixture" if mixture else data.get("name"), model.get("name"))
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
    f"{split} agreement": numbers.percent(metrics.get("agreement")),
    f"{split} top-5": numbers.percent(metrics.get("top5")),
    f"{split} F1, macro": numbers.percent(metrics.get("f1_macro")),
    "calibration error": numbers.percent(metrics.get("calibration_error")),
    **_best(run),
    **_fold(run),
    "results at step": _evaluated_step(run),
    "steps": _steps(run),
    "time": numbers.duration(result.get("seconds")),
    "images per second": numbers.magnitude(speed),
    "parameters": numbers.magnitude(result.get("parameters")),
    "FLOPs per image": numbers.magnitude(result.get("flops_per_image")),
    "memory": numbers.magnitude(result.get("memory_bytes"), unit="B"),
  }
  return {name: text for name, text in facts.items() if text != numbers.NOTHING}


def _fold(run: Run) -> dict[str, str]:
  """The parts of the training split that a run of cross-validation has."""
  if not run.config.get("data", {}).get("folds"):
    return {}
  sizes = {
    role: f"{each['split']}, {numbers.integer(each['num_examples'])} examples"
    for role, each in reading.splits(run).items()
  }
  return {f"{role} split": text for role, text in sizes.items()}


def _best(run: Run) -> dict[str, str]:
  best = run.result.get("best") or {}
  split, _, name = str(best.get("metric", "")).partition("/")
  value = numbers.metric(name, best.get("value"))
  split = reading.averaged(run, split)
  return {
    f"best {name}, {split}": value,
    "at step": numbers.integer(best.get("step")),
  }


def _evaluated_step(run: Run) -> str:
  """The step of the best checkpoint if the run has restored it."""
  name = reading.evaluated_checkpoint(run.result)
  return numbers.integer(None if name == "last" else int(name))


def _steps(run: Run) -> str:
  total = run.result.get("total_steps")
  step = run.result.get("step", run.lines[-1]["step"] if run.lines else None)
  if step is None or step == total:
    return numbers.integer(step)
  return f"{numbers.integer(step)} of {numbers.integer(total)}"


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
