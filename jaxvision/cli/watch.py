"""The command `jaxvision watch`."""

import argparse
import collections
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from jaxvision import files
from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console

# Those of `report.overview`, which is imported when it is needed.
_STATES = ("running", "stalled", "failed", "stopped", "finished")
_SORTS = ("state", "name", "percent", "left", "loss", "best", "speed", "age")
_STYLES = {
  "running": "green",
  "stalled": "yellow",
  "failed": "red",
  "stopped": "yellow",
}
_MARGIN = 3  # lines of a terminal without rows: title, heading, cursor


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "watch",
    _watch,
    "show the progress of runs and sweeps in a table that is renewed",
    examples=(
      "watch runs",
      "watch runs/mlp /shared/runs --every 60",
      "watch runs --trials --sort best --once",
    ),
    note="Only the folders are read, so the runs may be on other machines. "
    "In a pipe, and with --once or --json, the table is printed once.",
  )
  command.add_argument(
    "runs",
    type=paths.expanded,
    nargs="+",
    metavar="RUNS",
    help="folders of runs, sweeps or searches, or folders that contain them",
  )
  command.add_argument(
    "--every",
    type=_seconds,
    default=10.0,
    metavar="SECONDS",
    help="seconds between two looks (10)",
  )
  command.add_argument("--once", action="store_true", help="print once")
  command.add_argument("--json", action="store_true", help="print JSON, once")
  command.add_argument(
    "--trials", action="store_true", help="show the trials of sweeps too"
  )
  command.add_argument(
    "--sort",
    choices=_SORTS,
    default="state",
    metavar="KEY",
    help=f"{', '.join(_SORTS)}; the best or most urgent is first (state)",
  )
  command.add_argument(
    "--filter",
    choices=_STATES,
    action="append",
    default=[],
    metavar="STATE",
    help=f"only rows in this state: {', '.join(_STATES)}; may be repeated",
  )


def _seconds(text: str) -> float:
  value = float(text)
  if not 0 < value < float("inf"):
    raise argparse.ArgumentTypeError(f"{text}: it must be a number above 0")
  return value


def _watch(options: argparse.Namespace) -> None:
  _check_folders(options.runs)
  screen = _terminal()
  if options.json or options.once or screen is None:
    _print(_rows(_look(options), options), options, screen)
  else:
    _renew(options, screen)


def _check_folders(folders: Sequence[str]) -> None:
  for folder in folders:
    if not os.path.isdir(folder):
      raise FileNotFoundError(
        f"there is no folder {folder!r}; pass the --workdir of a run, a sweep "
        "or a search, or a folder that contains some"
      )


def _terminal() -> Any:
  """The terminal of the standard output; None if it cannot show a table."""
  from rich import console as screens

  screen = screens.Console(highlight=False)
  can_move = sys.stdout.isatty() and not screen.is_dumb_terminal
  return screen if can_move else None


def _look(options: argparse.Namespace, before: Any = None) -> Any:
  """The runs and sweeps; trials that have ended are read for --trials only."""
  from jaxvision.report import overview

  return overview.look(options.runs, before, ended_trials=options.trials)


def _rows(found: Any, options: argparse.Namespace) -> list[Any]:
  from jaxvision.report import overview

  rows = overview.rows(found, now=time.time(), trials=options.trials)
  return overview.chosen(rows, sort=options.sort, states=options.filter)


def _print(
  rows: Sequence[Any], options: argparse.Namespace, screen: Any
) -> None:
  from jaxvision.cli import watch_table
  from jaxvision.report import overview

  if options.json:
    records = [overview.to_record(row) for row in rows]
    console.say(files.to_json(records, indent=1))
  elif screen:
    screen.print(_page(rows, width=screen.width, height=None))
  else:
    for line in watch_table.lines(rows, width=None):
      console.say(line)


def _renew(options: argparse.Namespace, screen: Any) -> None:
  """Shows the table until Ctrl-C."""
  from rich import live

  found = None
  with (
    contextlib.suppress(KeyboardInterrupt),
    live.Live(console=screen, auto_refresh=False) as view,
  ):
    while True:
      found = _look(options, found)
      size = {"width": screen.width, "height": screen.height}
      view.update(_page(_rows(found, options), **size), refresh=True)
      time.sleep(options.every)


def _page(rows: Sequence[Any], *, width: int, height: int | None) -> Any:
  """The table for a terminal, with a title; at most `height` lines."""
  from rich import text

  from jaxvision.cli import watch_table

  shown = rows if height is None else rows[: max(height - _MARGIN, 1)]
  heading, *lines = watch_table.lines(shown, width=width)
  page = text.Text(_title(rows, shown)[:width], no_wrap=True, overflow="crop")
  page.append(f"\n{heading}", style="bold")
  for row, line in zip(shown, lines, strict=True):
    page.append(f"\n{line}", style=_STYLES.get(row.state))
  return page


def _title(rows: Sequence[Any], shown: Sequence[Any]) -> str:
  """The time and the number of rows in each state: "12:00:00  3 running"."""
  counts = collections.Counter(row.state for row in rows)
  parts = [f"{counts[each]} {each}" for each in _STATES if counts[each]]
  hidden = len(rows) - len(shown)
  more = f"; {hidden} rows do not fit the terminal" if hidden else ""
  return f"{time.strftime('%X')}  {', '.join(parts) or 'no runs'}{more}"
