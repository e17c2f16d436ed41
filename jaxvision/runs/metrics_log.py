"""Writes what a run measures: to disk, and to whoever watches.

On disk: WORKDIR/metrics.jsonl, one JSON object a line, always with "step"; and
TensorBoard event files in WORKDIR/tensorboard. On screen: one progress line in
a terminal, plain lines anywhere else.
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
_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def open_metrics(
  workdir: str | pathlib.Path,
  *,
  first_step: int,
  tensorboard: bool,
  evaluated: bool = True,
) -> Iterator[Callable[[int, Values], None]]:
  """Gives write(step, values); lines after `first_step` are forgotten.

  A resumed run measures the steps after its checkpoint again, so what a killed
  process wrote of them would stand twice. So would the evaluation of that step
  itself where it is not `evaluated` and comes first.
  """
  workdir = pathlib.Path(workdir)
  path = workdir / "metrics.jsonl"
  _forget_after(path, first_step, evaluated)
  with contextlib.ExitStack() as stack:
    # Not buffered: what could not be written would fail again at the end.
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

    yield write


@contextlib.contextmanager
def _open_events(folder: pathlib.Path, first_step: int) -> Iterator[Any]:
  """Curves for TensorBoard: a copy, whose end is no reason to fail."""
  from tensorboardX import SummaryWriter

  events = SummaryWriter(str(folder), purge_step=first_step + 1)
  try:
    yield events
  finally:
    try:
      events.close()
    except OSError as error:
      _LOGGER.warning("the curves in %s are not whole: %s", folder, error)


def _append(file: BinaryIO, text: str, path: pathlib.Path) -> None:
  left = text.encode()
  try:
    while left:  # a full disk may take a part
      left = left[file.write(left) :]
  except OSError as error:
    error.filename = error.filename or str(path)
    raise


def read_metrics(workdir: str | pathlib.Path) -> list[dict[str, float]]:
  """The lines of metrics.jsonl; null, which is no finite number, is NaN.

  A line that a killed process has torn is left out, as is one that is damaged.
  """
  rows, _ = read_lines(pathlib.Path(workdir) / "metrics.jsonl")
  return rows


def read_lines(path: pathlib.Path) -> tuple[list[dict[str, float]], int]:
  """The lines of a metrics.jsonl, and how many others were left out.

  A line is an object with a whole number "step", the other values numbers or
  null. There are none where there is no file.
  """
  if not path.is_file():
    return [], 0
  lines = path.read_text("utf-8", errors="replace").split("\n")
  found = [_row(line) for line in lines if line.strip()]
  rows = [row for row in found if row is not None]
  return rows, len(found) - len(rows)


def _row(line: str) -> dict[str, float] | None:
  try:
    row = json.loads(line)
  except (ValueError, RecursionError):
    return None
  if not isinstance(row, dict) or type(row.get("step")) is not int:
    return None
  if not all(v is None or type(v) in (int, float) for v in row.values()):
    return None
  return {k: math.nan if v is None else v for k, v in row.items()}


def _forget_after(path: pathlib.Path, step: int, evaluated: bool) -> None:
  found, damaged = read_lines(path)
  if damaged > 1:  # one is what a killed process leaves
    _LOGGER.warning("%d lines of %s are damaged: they are lost", damaged, path)
  rows = [
    row
    for row in found
    if row["step"] < step
    or (row["step"] == step and (evaluated or "train/loss" in row))
  ]
  files.write_text(path, "".join(f"{files.to_json(row)}\n" for row in rows))
