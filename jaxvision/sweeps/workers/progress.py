"""How a sweep stands, for whoever watches: a table, or plain lines.

In a terminal a table that is kept up to date; elsewhere a line for each trial
that has ended.
"""

import collections
import contextlib
import datetime
import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from jaxvision import files
from jaxvision.sweeps.experiment.objective import Objective
from jaxvision.sweeps.experiment.pruning import WHOLE
from jaxvision.sweeps.study import study
from jaxvision.sweeps.study.study import Standing
from jaxvision.sweeps.workers import folder
from jaxvision.sweeps.workers.processes import Failed
from jaxvision.sweeps.workers.worker import Sweep

Known = Callable[[int], Mapping[str, Any]]
_BEST = 5  # trials in the table


@contextlib.contextmanager
def open_view(
  sweep: Sweep, *, stream: TextIO | None = None
) -> Iterator[Callable[[], bool]]:
  """Gives look(), which shows how a sweep stands and whether it is over.

  Args:
    sweep: what to look at, again and again.
    stream: where to show; the standard output if None.
  """
  aim = sweep.experiment.objective
  known = functools.partial(
    folder.read_trial, sweep.workdir, tell=lambda _: None
  )
  with _open_screen(aim, known, stream or sys.stdout) as show:

    def look() -> bool:
      standings = study.standings(sweep.study)
      show(standings)
      return all(each.state in study.ENDED for each in standings)

    yield look


def check_complete(sweep: Sweep) -> None:
  """Whether a sweep that is over has an answer.

  Raises:
    Failed: no trial is complete; says the most frequent reason.
  """
  standings = study.standings(sweep.study)
  if any(each.state == "complete" for each in standings):
    return
  reasons = collections.Counter(
    folder.read_trial(sweep.workdir, each.number).get("reason") or "unknown"
    for each in standings
  )
  ((reason, count),) = reasons.most_common(1)
  raise Failed(
    f"none of {len(standings)} trials is complete; {count} ended with: {reason}"
  )


@contextlib.contextmanager
def _open_screen(
  aim: Objective, known: Known, stream: TextIO
) -> Iterator[Callable[[Sequence[Standing]], None]]:
  if stream.isatty():
    from rich import console, live

    with live.Live(console=console.Console(file=stream)) as page:
      yield lambda standings: page.update(_table(aim, known, standings))
    return
  told: set[int] = set()

  def show(standings: Sequence[Standing]) -> None:
    for each in standings:
      if each.state in study.ENDED and each.number not in told:
        told.add(each.number)
        console.say(_line(known, each), stream=stream)
        console.say(f"  {summary(aim, standings)}", stream=stream)

  yield show


def summary(aim: Objective, standings: Sequence[Standing]) -> str:
  """How many trials are where, the best of them, and the time left."""
  counts = collections.Counter(each.state for each in standings)
  parts = [f"{count} {state}" for state, count in sorted(counts.items())]
  if found := ranked(aim, standings):
    parts.append(f"best {found[0].value:.4g} (trial {found[0].number})")
  parts.append(_time_left(standings))
  return ", ".join(filter(None, parts))


def ranked(aim: Objective, standings: Sequence[Standing]) -> list[Standing]:
  """The trials that have a value, the best first."""
  sign = -1 if aim.goal == "maximize" else 1
  found = [each for each in standings if each.value is not None]
  return sorted(found, key=lambda each: sign * each.value)


def settings_text(settings: Mapping[str, Any]) -> str:
  """Settings in a line: "learning_rate=0.01, seed=3"."""
  return ", ".join(
    files.printable(f"{key.split('.')[-1]}={_short(value)}")
    for key, value in settings.items()
  )


def _line(known: Known, each: Standing) -> str:
  facts = known(each.number)
  value = "" if each.value is None else f" {each.value:.4g}"
  reason = f" ({facts['reason']})" if facts.get("reason") else ""
  settings = settings_text(facts.get("settings", {}))
  return f"trial {each.number} {each.state}{value}  {settings}{reason}"


def _table(aim: Objective, known: Known, standings: Sequence[Standing]) -> Any:
  from rich import table, text

  view = table.Table(title=summary(aim, standings), title_justify="left")
  for column in ("trial", "state", aim.metric, "settings"):
    view.add_column(column)
  running = [each for each in standings if each.state == "running"]
  for each in [*ranked(aim, standings)[:_BEST], *running]:
    progress = max(each.curve, default=0) / WHOLE
    state = f"{progress:.0%}" if each.state == "running" else each.state
    latest = each.curve[max(each.curve)] if each.curve else None
    value = each.value if each.value is not None else latest
    view.add_row(
      str(each.number),
      state,
      "" if value is None else f"{value:.4g}",
      # Text, in which [red] is no colour.
      text.Text(settings_text(known(each.number).get("settings", {}))),
    )
  return view


def _time_left(standings: Sequence[Standing]) -> str:
  ended = [s for s in standings if s.state in study.ENDED and s.seconds]
  left = sum(each.state not in study.ENDED for each in standings)
  if not ended or not left:
    return ""
  seconds = math.ceil(_at_work(ended) / len(ended) * left)
  return f"{datetime.timedelta(seconds=seconds)} left"


def _at_work(ended: Sequence[Standing]) -> float:
  """Seconds in which one of the trials ran, or several of them at once."""
  total, until = 0.0, -math.inf
  for each in sorted(ended, key=lambda each: each.began):
    end = each.began + each.seconds
    total += max(0.0, end - max(each.began, until))
    until = max(until, end)
  return total


def _short(value: Any) -> str:
  return f"{value:.4g}" if isinstance(value, float) else str(value)
