"""Report sections of the final evaluation: metrics and confusions."""

from collections.abc import Mapping

import numpy as np

from jaxvision.metrics import confusion
from jaxvision.report import figures, html, measures, mistakes, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# A matrix of more classes is an image without numbers.
_MOST_NUMBERED_CLASSES = 20

_MOST_PAIRS = 10

# Smallest and largest opacity: a single mistake must be visible, and the number
# on a full cell must be legible.
_TINTS = (0.1, 0.55)


def parts(run: Run) -> list[tuple[str, str, str]]:
  """The sections `(title, HTML, note)` of the final evaluation."""
  if "confusion" not in run.evaluation:
    return []
  split, _ = reading.final(run)
  return [
    (
      "Confusion matrix",
      _confusion(run),
      f"Split: {split}. Rows are true classes, columns are "
      "predicted classes. The tint shows the fraction of the row.",
    ),
    ("Classes", _classes(run), "Lowest F1 first; click a heading to sort."),
    mistakes.section(run),
  ]


def metrics(run: Run) -> str:
  """A table of all metrics: the last validation and the final split."""
  split, final = reading.final(run)
  columns = {
    "validation": _last(run, "validation/"),
    reading.averaged(run, "validation_ema"): _last(run, "validation_ema/"),
    split: final,  # replaces that of the log if it is the validation split
  }
  columns = {name: values for name, values in columns.items() if values}
  names = [
    name
    for name in dict.fromkeys(name for v in columns.values() for name in v)
    if not all(_repeats_top1(name, v) for v in columns.values())
  ]
  if not names:
    return ""
  headings = {"metric": str, **dict.fromkeys(columns, str), "meaning": str}
  rows = [
    [
      name,
      *(numbers.metric(name, v.get(name)) for v in columns.values()),
      measures.meaning(name, run),
    ]
    for name in names
  ]
  return f'<div class="card">{html.table(headings, rows)}</div>'


def _repeats_top1(name: str, values: Mapping[str, float]) -> bool:
  """Whether a micro average equals top-1, as it does for single labels."""
  return name.endswith("_micro") and values.get(name) == values.get("top1")


def _last(run: Run, prefix: str) -> dict[str, float]:
  lines = [
    line for line in run.lines if any(k.startswith(prefix) for k in line)
  ]
  last = max(lines, key=lambda line: line["step"], default={})
  return {
    key.removeprefix(prefix): value
    for key, value in last.items()
    if key.startswith(prefix)
  }


def _confusion(run: Run) -> str:
  matrix, names = run.evaluation["confusion"], reading.class_names(run)
  if len(names) <= _MOST_NUMBERED_CLASSES:
    picture = _numbered(matrix, names)
  else:
    picture = figures.confusion_image(confusion.shares(matrix))
  return (
    f'<div class="pair"><div class="card">{picture}</div>'
    f'<div class="card"><h3>Most confused</h3>{_pairs(matrix, names)}'
    "</div></div>"
  )


def _numbered(matrix: np.ndarray, names: tuple[str, ...]) -> str:
  shares = confusion.shares(matrix)
  head = "".join(
    f'<th title="{html.escape(name)}">{html.escape(name)}</th>'
    for name in names
  )
  body = "".join(
    f'<tr><th title="{html.escape(name)}">{html.escape(name)}</th>'
    + "".join(
      _cell(matrix[row, column], shares[row, column], row == column)
      for column in range(len(names))
    )
    + "</tr>"
    for row, name in enumerate(names)
  )
  width = 142 + 36 * len(names)  # narrower than this, the table scrolls
  return (
    f'<div class="scroll"><table class="confusion" style="min-width:{width}px">'
    "<thead><tr>"
    f'<th class="soft">true ↓ predicted →</th>{head}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>"
  )


def _cell(count: int, share: float, hit: bool) -> str:
  if not count:
    return '<td class="none">·</td>'
  weakest, strongest = _TINTS
  tint = weakest + (strongest - weakest) * (share if hit else np.sqrt(share))
  return (
    f'<td class="{"hit" if hit else "miss"}" style="--a:{tint:.2f}" '
    f'title="{numbers.percent(share)} of the row">'
    f"{numbers.integer(count)}</td>"
  )


def _pairs(matrix: np.ndarray, names: tuple[str, ...]) -> str:
  pairs = confusion.confused_pairs(matrix, limit=_MOST_PAIRS)
  if not pairs:
    return '<p class="soft">No mistakes.</p>'
  share = confusion.shares(matrix)
  columns = {
    "true": str,
    "predicted": str,
    "images": numbers.integer,
    "of its class": numbers.percent,
  }
  rows = [
    (names[true], names[predicted], count, share[true, predicted])
    for true, predicted, count in pairs
  ]
  return html.table(columns, rows)


def _classes(run: Run) -> str:
  names = reading.class_names(run)
  scores = confusion.class_scores(run.evaluation["confusion"])
  columns = {
    "class": str,
    "precision": numbers.percent,
    "recall": numbers.percent,
    "F1": numbers.percent,
    "images": numbers.integer,
  }
  rows = [
    (
      names[index],
      scores.precision[index],
      scores.recall[index],
      scores.f1[index],
      scores.support[index],
    )
    for index in np.argsort(scores.f1, kind="stable")
  ]
  table = html.table(columns, rows, sortable=True)
  return f'<div class="card">{table}</div>'
