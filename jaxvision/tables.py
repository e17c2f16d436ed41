"""Tables of models and of their layers, as the commands print them.

In a terminal they are fitted to its width; where they are piped every row is
one line of plain text, and nothing is cut off.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Cells = tuple[str, ...]

_MODELS = ("name", "image", "parameters", "GMACs", "top-1", "published by")
_LAYERS = ("path", "output shape", "parameters", "MACs")


def print_models(specs: Iterable[Any]) -> None:
  """Prints what `models.spec` returned, in a terminal by paper."""
  from rich import console

  screen = console.Console(highlight=False)
  rows = [(_cells(spec), spec.paper) for spec in specs]
  if not screen.is_terminal:
    _print_lines([(*_MODELS, "paper"), *((*row, paper) for row, paper in rows)])
    return
  widths = _widths([_MODELS, *(row for row, _ in rows)])
  screen.print(_grid([_MODELS], widths), style="bold")
  papers = {}
  for row, paper in rows:
    papers.setdefault(paper, []).append(row)
  for paper, group in papers.items():
    screen.print(f"\n{paper}", style="italic")
    screen.print(_grid(group, widths))


def _cells(spec: Any) -> Cells:
  return (
    spec.name,
    str(spec.image_size),
    f"{spec.parameters:,}",
    f"{spec.gmacs:,.3f}",
    "-" if spec.top1 is None else str(spec.top1),
    spec.top1_source,
  )


def _grid(rows: Sequence[Cells], widths: Sequence[int]) -> Any:
  from rich import table

  *fixed, _ = widths
  grid = table.Table.grid(padding=(0, 2, 0, 0))
  for i, width in enumerate(fixed):
    grid.add_column(width=width, justify="right" if i else "left")
  grid.add_column()  # The rest of the line, and as many more as it takes.
  for row in rows:
    grid.add_row(*row)
  return grid


def print_layers(rows: Sequence[Any]) -> None:
  """Prints `features.Layer`s, and their sums."""
  total = (
    "total",
    "",
    f"{sum(row.parameters for row in rows):,}",
    f"{sum(row.macs for row in rows):,}",
  )
  lines = [
    (
      row.path or "(no layer)",
      "x".join(map(str, row.output_shape[1:])),
      f"{row.parameters:,}",
      f"{row.macs:,}",
    )
    for row in rows
  ]
  _print_lines([_LAYERS, *lines, total])


def _print_lines(rows: Sequence[Cells]) -> None:
  """Prints numbers and shapes to the right of their columns, words to the left."""
  widths = _widths(rows)
  for row in rows:
    cells = [
      cell.rjust(width) if 0 < i < 5 else cell.ljust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    print("  ".join(cells).rstrip())


def _widths(rows: Sequence[Cells]) -> list[int]:
  return [max(map(len, column)) for column in zip(*rows, strict=True)]
