"""The log of a run: metrics.jsonl, and TensorBoard event files.

WORKDIR/metrics.jsonl has one JSON object per line, always with "step". The
event files are in WORKDIR/tensorboard.
"""

import contextlib
import json
import logging
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from jaxvision import files

Values = Mapping[str, float]
_LARGEST = 2**63
_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def open_metrics(
  workdir: str | pathlib.Path,
  *,
  first_step: int,
  tensorboard: bool,
  evaluated: bool = True,
  written: Callable[[], None] = lambda: None,
) -> Iterator[Callable[[int, Values], None]]:
  """Yields write(step, values), after removing lines after `first_step`.

  A resumed run logs the steps after its checkpoint again; without the removal
  a killed process would leave these steps twice. If `evaluated` is False, the
  evaluation of `first_step` is repeated too, and its old lines are removed.
  `written` is called after the removal and after each line.
  """
  workdir = pathlib.Path(workdir)
  path = workdir / "metrics.jsonl"
  _remove_after(path, first_step, evaluated)
  with contextlib.ExitStack() as stack:
    # Unbuffered: a buffer that could not be written would fail again at close.
    lines = stack.enter_context(path.open("ab", buffering=0))
    events = None
    if tensorboard:
      events = stack.enter_context(
        _open_events(workdir / "tensorboard", first_step)
      )

    def write(step: int, values: Values) -> None:
      _append(lines, files.to_json({"step": step, **values}) + "\n", path)
      for name, value in values.items() if events else ():
        events.add_scalar(name, value, step)
      written()

    written()
    yield write


@contextlib.contextmanager
def _open_events(folder: pathlib.Path, first_step: int) -> Iterator[Any]:
  """TensorBoard event files; an error at close is only a warning."""
  from tensorboardX import SummaryWriter

  events = SummaryWriter(str(folder), purge_step=first_step + 1)
  try:
    yield events
  finally:
    try:
      events.close()
    except OSError as error:
      _LOGGER.warning("the event files in %s are incomplete: %s", folder, error)


def _append(file: BinaryIO, text: str, path: pathlib.Path) -> None:
  left = text.encode()
  try:
    while left:  # a full disk may accept a part only
      left = left[file.write(left) :]
  except OSError as error:
    error.filename = error.filename or str(path)
    raise


def read_metrics(workdir: str | pathlib.Path) -> list[dict[str, float]]:
  """The lines of metrics.jsonl; null (a value that is not finite) is NaN.

  Incomplete and damaged lines are skipped.
  """
  rows, _ = read_lines(pathlib.Path(workdir) / "metrics.jsonl")
  return rows


def read_lines(path: pathlib.Path) -> tuple[list[dict[str, float]], int]:
  """The lines of a metrics.jsonl, and the number of skipped lines.

  A valid line is an object with an integer "step" whose other values are
  numbers or null. Without a file there are no lines.
  """
  if not path.is_file():
    return [], 0
  lines = path.read_text("utf-8", errors="replace").split("\n")
  found = [parse_line(line) for line in lines if line.strip()]
  rows = [row for row in found if row is not None]
  return rows, len(found) - len(rows)


def parse_line(line: str) -> dict[str, float] | None:
  """The values of a line; None for an incomplete or damaged line.

  A null is NaN.
  """
  try:
    row = json.loads(line)
  except (ValueError, RecursionError):
    return None
  if not isinstance(row, dict) or type(row.get("step")) is not int:
    return None
  if not all(map(_is_value, row.values())):
    return None
  return {k: math.nan if v is None else v for k, v in row.items()}


def _is_value(value: Any) -> bool:
  # An integer that float cannot represent raises errors in later arithmetic.
  is_small = type(value) is int and abs(value) <= _LARGEST
  return value is None or type(value) is float or is_small


def _remove_after(path: pathlib.Path, step: int, evaluated: bool) -> None:
  found, damaged = read_lines(path)
  if damaged > 1:  # a killed process leaves one
    _LOGGER.warning("%d lines of %s are damaged and removed", damaged, path)
  rows = [
    row
    for row in found
    if row["step"] < step
    or (row["step"] == step and (evaluated or "train/loss" in row))
  ]
  files.write_text(path, "".join(f"{files.to_json(row)}\n" for row in rows))
