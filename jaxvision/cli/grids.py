"""Metrics as lines of text; names such as "gradcam/deletion" make a table."""

from collections.abc import Mapping

_NAME = 34  # characters of a name outside of a table
_MISSING = "-"


def lines(metrics: Mapping[str, float]) -> list[str]:
  """The lines that show metrics.

  If all names have the form "row/column", the lines are a table. Otherwise each
  metric has a line. A row may contain "/" too.
  """
  if not metrics or not all("/" in name for name in metrics):
    return [f"{name:<{_NAME}} {value:.4f}" for name, value in metrics.items()]
  cells = {tuple(name.rsplit("/", 1)): value for name, value in metrics.items()}
  rows = dict.fromkeys(row for row, _ in cells)
  columns = dict.fromkeys(column for _, column in cells)
  first = max(map(len, rows))
  widths = {column: max(len(column), 7) for column in columns}
  head = "  ".join(f"{each:>{width}}" for each, width in widths.items())
  found = [f"{'':<{first}}  {head}"]
  for row in rows:
    values = "  ".join(
      f"{_cell(cells.get((row, column))):>{width}}"
      for column, width in widths.items()
    )
    found.append(f"{row:<{first}}  {values}")
  return found


def _cell(value: float | None) -> str:
  return _MISSING if value is None else f"{value:.4f}"
