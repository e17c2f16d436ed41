"""The table of `jaxvision watch` as lines of text.

A table of Rich wraps its cells, so the columns are chosen here: in a terminal
the least important ones are left out until a line fits. A pipe gets all columns
and complete texts. Rich measures the texts and shows the lines.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from rich import cells

from jaxvision import files
from jaxvision.report import numbers
from jaxvision.report.overview import Row

_MISSING, _GAP, _CUT = "-", "  ", "..."
_SHORTEST = 16  # cells of a name or a note that is shortened
_LEFT_ALIGNED = ("name", "state", "metric", "note")
# Columns that a narrow terminal lacks, in the order in which they go.
_DISPENSABLE = (
  *("note", "images/s", "epoch", "step", "metric", "loss", "last", "age"),
  *("left", "best", "%"),
)


def lines(rows: Sequence[Row], *, width: int | None) -> list[str]:
  """The heading and a line for each row.

  Args:
    rows: of the table.
    width: cells of the terminal; None for complete lines.
  """
  table = {
    name: [name, *(text(row) for row in rows)]
    for name, text in _COLUMNS.items()
  }
  widths = {name: _natural(texts) for name, texts in table.items()}
  if width is not None:
    widths = _fitting(table, widths, width)
  columns = [
    [_sized(text, size, name) for text in table[name]]
    for name, size in widths.items()
  ]
  found = [_GAP.join(each).rstrip() for each in zip(*columns, strict=True)]
  if width is None:
    return found
  return [cells.set_cell_size(line, width).rstrip() for line in found]


def _natural(texts: Sequence[str]) -> int:
  return max(map(cells.cell_len, texts))


def _fitting(
  table: Mapping[str, Sequence[str]], natural: Mapping[str, int], width: int
) -> dict[str, int]:
  """The widths of the columns that fit; those without a value are left out."""
  shown = [
    name
    for name, texts in table.items()
    if name in ("name", "state") or {*texts[1:]} - {_MISSING, ""}
  ]
  least = {name: natural[name] for name in shown}
  for name in {"name", "note"} & {*shown}:
    least[name] = min(natural[name], _SHORTEST)
  for name in _DISPENSABLE:
    if _total(least) > width:
      least.pop(name, None)
  for name in ("name", "note"):
    if name in least:
      # Less than nothing is free if only the name and the state are left.
      free = width - _total(least)
      least[name] = max(min(natural[name], least[name] + free), len(_CUT) + 1)
  return least


def _total(widths: Mapping[str, int]) -> int:
  return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _sized(text: str, size: int, column: str) -> str:
  """A text in a column; a long name loses its beginning, a note its end."""
  spare = size - cells.cell_len(text)
  if spare >= 0:
    pad = " " * spare
    return text + pad if column in _LEFT_ALIGNED else pad + text
  if column != "name":
    return cells.set_cell_size(text, size - len(_CUT)) + _CUT
  while cells.cell_len(text) > size - len(_CUT):
    text = text[1:]
  return cells.set_cell_size(_CUT + text, size)


def _percent(row: Row) -> str:
  # Not rounded: only a complete run has 100%.
  return _MISSING if row.percent is None else f"{math.floor(row.percent)}%"


def _step(row: Row) -> str:
  unit = " trials" if row.kind == "sweep" else ""
  of = "" if row.total_steps is None else f"/{row.total_steps:,}"
  return f"{row.step or 0:,}{of}{unit}"


def _epoch(row: Row) -> str:
  if row.epoch is None:
    return _MISSING
  of = "" if row.total_epochs is None else f"/{row.total_epochs:.4g}"
  return f"{row.epoch:.1f}{of}"


def _duration(seconds: float | None) -> str:
  return _MISSING if seconds is None else numbers.duration(round(seconds))


def _value(name: str, value: float | None) -> str:
  """A metric; NaN and infinities are visible."""
  if value is None:
    return _MISSING
  return numbers.metric(name, value) if math.isfinite(value) else str(value)


def _metric(row: Row) -> str:
  split, _, name = row.metric.partition("/")
  return {
    "validation": name,
    "validation_ema": f"{name} (EMA)",
  }.get(split, row.metric) or _MISSING


def _speed(row: Row) -> str:
  value = row.images_per_second
  return _MISSING if value is None else f"{value:,.0f}"


_COLUMNS: dict[str, Callable[[Row], str]] = {
  "name": lambda row: files.printable(row.name),
  "state": lambda row: row.state,
  "%": _percent,
  "step": _step,
  "epoch": _epoch,
  "left": lambda row: _duration(row.seconds_left),
  "loss": lambda row: _value("loss", row.train_loss),
  "metric": lambda row: files.printable(_metric(row)),
  "last": lambda row: _value(row.metric, row.last),
  "best": lambda row: _value(row.metric, row.best),
  "images/s": _speed,
  "age": lambda row: _duration(row.age_seconds),
  "note": lambda row: files.printable(row.reason),
}
