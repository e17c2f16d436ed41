"""Tables of models and layers, for `jaxvision models`.

In a terminal the list of models fits the width. In a pipe each model is one
complete line of plain text.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jaxvision import models, summary
from jaxvision.weights import published

Cells = tuple[str, ...]

_MODEL = ("name", "image", "parameters", "GMACs", "top-1", "published by")
_LAYER = ("path", "output shape", "parameters", "MACs")
_NUMBERS = range(1, 5)  # Right-aligned columns.
_SCREEN = 40  # Maximum number of rows of a table of layers.


def print_models(names: Sequence[str]) -> None:
  """Prints a table of models; in a terminal it is grouped by paper."""
  console = Console(highlight=False)
  specs = [models.spec(name) for name in names]
  if console.is_terminal:
    _print_by_paper(specs, console)
  else:
    _print_lines(
      [(*_MODEL, "paper"), *((*_cells(spec), spec.paper) for spec in specs)]
    )


def _cells(spec: models.ModelSpec) -> Cells:
  return (
    spec.name,
    str(spec.image_size),
    f"{spec.parameters:,}",
    f"{spec.gmacs:,.4g}",
    "-" if spec.top1 is None else str(spec.top1),
    spec.top1_source,
  )


def _print_by_paper(specs: list[models.ModelSpec], console: Console) -> None:
  widths = _widths([_MODEL, *map(_cells, specs)])
  console.print(_grid([_MODEL], widths), style="bold")
  papers = {}
  for spec in specs:
    papers.setdefault(spec.paper, []).append(_cells(spec))
  for paper, rows in papers.items():
    console.print(f"\n{paper}", style="italic", markup=False)
    console.print(_grid(rows, widths))


def _grid(rows: list[Cells], widths: list[int]) -> Table:
  """A grid whose columns have the given widths; the last one is flexible."""
  grid = Table.grid(padding=(0, 2, 0, 0))
  for i, width in enumerate(widths[:-1]):
    grid.add_column(width=width, justify="right" if i in _NUMBERS else "left")
  grid.add_column()  # The rest of the line; it wraps.
  for row in rows:
    grid.add_row(*row)
  return grid


def print_published(rows: Sequence[published.PublishedFile]) -> None:
  """Prints a table of published weight files, one line each."""
  header = ("model", "image", "classes", "parameters", "top-1")
  _print_lines(
    [
      (*header, "range of the input", "licence", "sha256_prefix", "address"),
      *(
        (
          row.model,
          str(row.image_size),
          f"{row.num_classes:,}",
          f"{row.parameters:,}",
          "-" if row.top1 is None else str(row.top1),
          _input_range(row),
          row.licence or "-",
          row.sha256_prefix or "-",
          row.url,
        )
        for row in rows
      ),
    ]
  )


def _input_range(row: published.PublishedFile) -> str:
  """The normalised values of pixels 0 and 255 in the first channel."""
  low, high = ((pixel - row.mean[0]) / row.std[0] for pixel in (0, 1))
  return f"{low:.3g} to {high:.3g}"


def print_layers(
  name: str,
  *,
  image_size: int | None = None,
  num_classes: int = 1000,
  depth: int | None = None,
) -> None:
  """Prints the layers of a model, their costs, and the totals.

  Args:
    name: model name, as for `models.create`.
    image_size: height and width in pixels; None for the native size.
    num_classes: length of the logits.
    depth: maximum number of names in a path; None for the largest depth that
      fits on a screen.

  Raises:
    ValueError: the model does not exist or does not accept this size; or a
      number is not positive.
  """
  size = models.spec(name).image_size if image_size is None else image_size
  _check_positive(image_size=size, num_classes=num_classes)
  table = summary.layer_table(
    models.create(name, num_classes=num_classes), image_shape=(size, size, 3)
  )
  rows = _fitting(table) if depth is None else summary.at_depth(table, depth)
  (total,) = summary.at_depth(table, 0)
  _print_lines(
    [
      _LAYER,
      *((row.path or "(no layer)", *_costs(row)) for row in rows),
      ("total", *_costs(total)),
    ]
  )


def print_options(name: str) -> None:
  """Prints the options of a model with their types and defaults.

  Raises:
    ValueError: the model does not exist.
  """
  print("options, set by --config.model.options.OPTION=VALUE:")
  rows = [("option", "type", "default"), *models.describe_options(name)]
  first, second, _ = _widths(rows)
  for option, kind, default in rows:
    print(f"{option:<{first}}  {kind:<{second}}  {default}")


def _check_positive(**numbers: int) -> None:
  for name, number in numbers.items():
    if number < 1:
      raise ValueError(f"{name} is {number}; it must be at least 1")


def _fitting(table: list[summary.Layer]) -> list[summary.Layer]:
  """The rows of the largest depth that fits on a screen, at least depth 1."""
  deepest = max(layer.path.count("/") for layer in table) + 1
  for depth in range(deepest, 1, -1):
    rows = summary.at_depth(table, depth)
    if len(rows) <= _SCREEN:
      return rows
  return summary.at_depth(table, 1)


def _costs(layer: summary.Layer) -> Cells:
  shape = "x".join(map(str, layer.output_shape[1:]))
  return (shape, f"{layer.parameters:,}", f"{layer.macs:,}")


def _print_lines(rows: list[Cells]) -> None:
  widths = _widths(rows)
  for row in rows:
    cells = [
      cell.rjust(width) if i in _NUMBERS else cell.ljust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    print("  ".join(cells).rstrip())


def _widths(rows: list[Cells]) -> list[int]:
  return [max(map(len, column)) for column in zip(*rows, strict=True)]
