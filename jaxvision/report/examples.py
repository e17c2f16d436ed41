"""The report section of examples: a table of predictions with pictures."""

import math

import numpy as np

from jaxvision.report import charts, figures, html, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

REASONS = ("confident mistake", "uncertain", "random")
# The pictures of a sheet are JPEG if they are larger (pixels).
_EXACT_UP_TO = 32
_HEADINGS = ("picture", "true", "predicted", "confidence", "loss", "chosen as")


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)`; empty for a run without examples."""
  if not run.predictions:
    return "Predictions", "", ""
  return "Predictions", _filters(run) + _table(run) + _style(run), _note(run)


def scripts() -> str:
  """The code of the filters."""
  return f"<script>{charts.script('examples.js')}</script>"


def _note(run: Run) -> str:
  found = run.predictions
  split, _ = reading.final(run)
  counts = np.bincount(found["sample_reasons"], minlength=len(REASONS))
  return (
    f"{numbers.integer(len(found['sample']))} of "
    f"{numbers.integer(len(found['labels']))} predictions ({split}): "
    f"{counts[0]} confident mistakes, {counts[1]} uncertain ones (the smallest "
    f"margins between the first two classes) and {counts[2]} at random, right "
    "or wrong. The loss is the negative log probability of the true class, in "
    "nats. Click a heading to sort."
  )


def _filters(run: Run) -> str:
  names = reading.class_names(run)
  shown = np.unique(np.concatenate([_labels(run), _predicted(run)])).tolist()
  return (
    '<form class="controls filters">'
    + _choice("class", "Class", {str(c): names[c] for c in shown})
    + _choice("result", "Result", {"right": "right", "wrong": "wrong"})
    + _choice("reason", "Chosen as", {each: each for each in REASONS})
    + '<label>Confidence <input name="from" type="number" min="0" max="100" '
    'value="0" aria-label="smallest confidence in percent"> to <input '
    'name="to" type="number" min="0" max="100" value="100" '
    'aria-label="largest confidence in percent"> %</label>'
    '<button type="reset">reset</button>'
    '<output role="status"></output></form>'
  )


def _choice(name: str, label: str, options: dict[str, str]) -> str:
  found = "".join(
    f'<option value="{html.escape(value)}">{html.escape(text)}</option>'
    for value, text in options.items()
  )
  return (
    f'<label>{label} <select name="{name}"><option value="">all</option>'
    f"{found}</select></label>"
  )


def _table(run: Run) -> str:
  first = ' aria-sort="descending"'  # the rows are in the order of the loss
  head = "".join(
    f"<th{first if name == 'loss' else ''}><button>{name}</button></th>"
    for name in _HEADINGS
  )
  losses = run.predictions["losses"][run.predictions["sample"]]
  rows = "".join(_row(run, i) for i in np.argsort(-losses, kind="stable"))
  return (
    '<div class="card"><div class="scroll"><table class="sortable examples">'
    f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>"
  )


def _row(run: Run, place: int) -> str:
  found, names = run.predictions, reading.class_names(run)
  index = found["sample"][place]
  true, predicted = found["labels"][index], _predicted(run)[place]
  confidence = float(found["probabilities"][index, predicted])
  loss = float(found["losses"][index])
  reason = REASONS[found["sample_reasons"][place]]
  result = "right" if true == predicted else "wrong"
  identity = str(found["sample_ids"][place])
  text = (
    f"{identity}: true {names[true]}, predicted {names[predicted]} "
    f"({numbers.percent(confidence)})"
  )
  return (
    f'<tr data-example="{place}" data-true="{true}" '
    f'data-predicted="{predicted}" data-result="{result}" '
    f'data-reason="{reason}" data-confidence="{confidence:.6g}" '
    f'data-text="{html.escape(text)}">'
    f"<td>{_thumb(run, place, identity)}</td>"
    f"<td>{html.escape(names[true])}</td>"
    f'<td class="{result}">{html.escape(names[predicted])} '
    f"<small>{result}</small></td>"
    f'<td class="number" data-value="{confidence:.6g}">'
    f"{numbers.percent(confidence)}</td>"
    f'<td class="number" data-value="{loss:.6g}">'
    f"{numbers.significant(loss)}</td>"
    f"<td>{reason}</td></tr>"
  )


def _thumb(run: Run, place: int, identity: str) -> str:
  """The picture of an example: a part of the sheet of all pictures."""
  columns, rows = _grid(len(run.predictions["sample"]))
  row, column = divmod(place, columns)
  x = 100 * column / max(1, columns - 1)
  y = 100 * row / max(1, rows - 1)
  text = html.escape(identity)
  return (
    f'<div class="thumb" role="img" aria-label="{text}" title="{text}" '
    f'style="background-position:{x:.5g}% {y:.5g}%"></div>'
  )


def _grid(count: int) -> tuple[int, int]:
  """The columns and rows of the sheet."""
  columns = math.ceil(math.sqrt(count))
  return columns, math.ceil(count / columns)


def _style(run: Run) -> str:
  """The rule that shows parts of the sheet; the sheet is in a page once."""
  images = run.predictions["sample_images"]
  columns, rows = _grid(len(images))
  height, width = images.shape[1:3]
  uri = figures.image_uri(
    _sheet(images, columns, rows), exact=max(height, width) <= _EXACT_UP_TO
  )
  sampling = "pixelated" if max(height, width) <= _EXACT_UP_TO else "auto"
  return (
    f"<style>.thumb{{background-image:url({uri});"
    f"background-size:{100 * columns}% {100 * rows}%;"
    f"aspect-ratio:{width}/{height};image-rendering:{sampling}}}</style>"
  )


def _sheet(images: np.ndarray, columns: int, rows: int) -> np.ndarray:
  """(n, h, w, c) -> (rows h, columns w, c), row by row."""
  count, height, width, channels = images.shape
  sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
  sheet[:count] = images
  sheet = sheet.reshape(rows, columns, height, width, channels)
  return sheet.transpose(0, 2, 1, 3, 4).reshape(
    rows * height, columns * width, channels
  )


def _labels(run: Run) -> np.ndarray:
  return run.predictions["labels"][run.predictions["sample"]]


def _predicted(run: Run) -> np.ndarray:
  found = run.predictions
  return found["probabilities"][found["sample"]].argmax(axis=1)
