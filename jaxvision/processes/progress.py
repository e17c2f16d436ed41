"""Progress on screen: the line of a training, and the bar of a long task."""

import contextlib
import datetime
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from jaxvision.processes import notebook

Values = Mapping[str, float]


@contextlib.contextmanager
def open_progress(
  *, first_step: int, total_steps: int, stream: TextIO | None = None
) -> Iterator[Callable[[int, Values], None]]:
  """Yields show(step, values): a live line in a terminal or a notebook.

  Elsewhere, as in a file, each call writes a plain line. The name decides the
  format: loss, top1 (a fraction), images_per_second.
  """
  if stream is None and notebook.is_running():
    yield _notebook_line(first_step, total_steps)
    return
  stream = stream or sys.stdout
  if not stream.isatty():
    started = datetime.datetime.now()

    def show(step: int, values: Values) -> None:
      left = _time_left(started, step - first_step, total_steps - step)
      parts = [f"step {step}/{total_steps}", *_formatted(values), left]
      print("  ".join(filter(None, parts)), file=stream, flush=True)

    yield show
    return
  with _live_line(first_step, total_steps, stream) as show:
    yield show


@contextlib.contextmanager
def _live_line(first_step: int, total_steps: int, stream: TextIO):
  from rich import console, progress

  columns = (
    progress.TextColumn("step {task.completed}/{task.total}"),
    progress.BarColumn(),
    progress.TextColumn("{task.fields[values]}"),
    progress.TimeRemainingColumn(),
  )
  screen = console.Console(file=stream)
  with progress.Progress(*columns, console=screen) as line:
    task = line.add_task(
      "", total=total_steps, completed=first_step, values="compiling"
    )

    def show(step: int, values: Values) -> None:
      text = "  ".join(_formatted(values))
      line.update(task, completed=step)
      if _is_evaluation(values):
        # A permanent line; the live line has no space for it.
        line.console.print(f"step {step}  {text}", highlight=False)
      else:
        line.update(task, values=text)

    yield show


def _notebook_line(
  first_step: int, total_steps: int
) -> Callable[[int, Values], None]:
  started = datetime.datetime.now()
  renew = notebook.open_line()
  renew(first_step, total_steps, f"step {first_step}/{total_steps}  compiling")

  def show(step: int, values: Values) -> None:
    text = "  ".join([f"step {step}", *_formatted(values)])
    if _is_evaluation(values):
      print(text, flush=True)
    else:
      left = _time_left(started, step - first_step, total_steps - step)
      renew(step, total_steps, f"{text}  {left}".rstrip())

  return show


def _is_evaluation(values: Values) -> bool:
  return any(name.startswith(("validation", "test")) for name in values)


def _formatted(values: Values) -> list[str]:
  shown = {
    "loss": "{:.4f}",
    "top1": "{:.2%}",
    "agreement": "{:.2%}",
    "mean_average_precision": "{:.2%}",
    **dict.fromkeys(("r2", "cider", "pixel_frechet"), "{:.4g}"),
    "images_per_second": "{:,.0f}",
  }
  return [
    f"{name.replace('images_per_second', 'images/s')} "
    + shown[name.split("/")[-1]].format(value)
    for name, value in values.items()
    if name.split("/")[-1] in shown
  ]


def _time_left(started: datetime.datetime, done: int, left: int) -> str:
  if done <= 0 or left <= 0:
    return ""
  each = (datetime.datetime.now() - started).total_seconds() / done
  return f"{datetime.timedelta(seconds=math.ceil(each * left))} left"


@contextlib.contextmanager
def open_bar(
  title: str, *, total: int | None, unit: str, done: int = 0
) -> Iterator[Callable[[int], None]]:
  """Gives advance(count), which moves a bar if stderr is a terminal.

  Args:
    title: title of the bar.
    total: the final count; None if unknown.
    unit: unit of the count, "bytes" or "examples".
    done: the initial count.
  """
  if not sys.stderr.isatty():
    yield lambda count: None
    return
  from rich import console, progress

  counts = {
    "bytes": (progress.DownloadColumn(), progress.TransferSpeedColumn()),
    "examples": (progress.MofNCompleteColumn(), progress.TimeElapsedColumn()),
  }
  columns = (
    progress.TextColumn("{task.description}"),
    progress.BarColumn(),
    *counts[unit],
    progress.TimeRemainingColumn(),
  )
  screen = console.Console(stderr=True)
  with progress.Progress(*columns, console=screen) as bar:
    task = bar.add_task(title, total=total, completed=done)
    yield lambda count: bar.advance(task, count)
