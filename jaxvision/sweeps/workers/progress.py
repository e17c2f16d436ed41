"""The progress of a sweep: a live table in a terminal, plain lines elsewhere.

Plain lines are printed for each trial that has ended.
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
from jaxvision.processes import console
from jaxvision.sweeps.experiment import space
from jaxvision.sweeps.experiment.objective import Objective
from jaxvision.sweeps.experiment.pruning import COMPLETE
from jaxvision.sweeps.study import study
from jaxvision.sweeps.study.study import TrialStatus
from jaxvision.sweeps.workers import folder
from jaxvision.sweeps.workers.processes import Failed
from jaxvision.sweeps.workers.worker import Sweep

Known = Callable[[int], Mapping[str, Any]]
Counted = Callable[[Sequence[TrialStatus]], str]
_BEST = 5  # trials in the table


@contextlib.contextmanager
def open_view(
  sweep: Sweep, *, stream: TextIO | None = None
) -> Iterator[Callable[[], bool]]:
  """Yields look(), which shows the progress and returns whether all ended.

  Args:
    sweep: the sweep to show.
    stream: output stream; standard output if None.
  """
  aim = sweep.experiment.objective
  known = functools.partial(
    folder.read_trial, sweep.workdir, warn=lambda _: None
  )
  # The folds of a setting have different data: no trial is the best.
  folded = space.repetitions(sweep.experiment.space) - {space.SEED}
  counted = functools.partial(summary, aim, by_best=not folded)
  with _open_screen(aim, known, counted, stream or sys.stdout) as show:

    def look() -> bool:
      statuses = study.statuses(sweep.study)
      show(statuses)
      return all(each.state in study.ENDED for each in statuses)

    yield look


def check_complete(sweep: Sweep) -> None:
  """Checks that a finished sweep has at least one complete trial.

  Raises:
    Failed: no trial is complete; the message has the most frequent reason.
  """
  statuses = study.statuses(sweep.study)
  if any(each.state == "complete" for each in statuses):
    return
  reasons = collections.Counter(
    folder.read_trial(sweep.workdir, each.number).get("reason") or "unknown"
    for each in statuses
  )
  ((reason, count),) = reasons.most_common(1)
  raise Failed(
    f"none of {len(statuses)} trials is complete; {count} ended with: {reason}"
  )


@contextlib.contextmanager
def _open_screen(
  aim: Objective, known: Known, counted: Counted, stream: TextIO
) -> Iterator[Callable[[Sequence[TrialStatus]], None]]:
  if stream.isatty():
    from rich import console as screens
    from rich import live

    with live.Live(console=screens.Console(file=stream)) as page:
      yield lambda statuses: page.update(
        _table(aim, known, statuses, title=counted(statuses))
      )
    return
  printed: set[int] = set()

  def show(statuses: Sequence[TrialStatus]) -> None:
    for each in statuses:
      if each.state in study.ENDED and each.number not in printed:
        printed.add(each.number)
        console.say(_line(known, each), stream=stream)
        console.say(f"  {counted(statuses)}", stream=stream)

  yield show


def summary(
  aim: Objective, statuses: Sequence[TrialStatus], *, by_best: bool = True
) -> str:
  """The number of trials in each state, the best trial, and the time left."""
  counts = collections.Counter(each.state for each in statuses)
  parts = [f"{count} {state}" for state, count in sorted(counts.items())]
  if by_best and (found := ranked(aim, statuses)):
    parts.append(f"best trial {found[0].number} with {found[0].value:.4g}")
  parts.append(_time_left(statuses))
  return ", ".join(filter(None, parts))


def ranked(
  aim: Objective, statuses: Sequence[TrialStatus]
) -> list[TrialStatus]:
  """The trials with a value, best first."""
  sign = -1 if aim.goal == "maximize" else 1
  found = [each for each in statuses if each.value is not None]
  return sorted(found, key=lambda each: sign * each.value)


def settings_text(settings: Mapping[str, Any]) -> str:
  """Settings on one line: "learning_rate=0.01, seed=3"."""
  return ", ".join(
    files.printable(f"{key.split('.')[-1]}={_short(value)}")
    for key, value in settings.items()
  )


def _line(known: Known, each: TrialStatus) -> str:
  facts = known(each.number)
  value = "" if each.value is None else f" {each.value:.4g}"
  reason = f" ({facts['reason']})" if facts.get("reason") else ""
  settings = settings_text(facts.get("settings", {}))
  return f"trial {each.number} {each.state}{value}  {settings}{reason}"


def _table(
  aim: Objective, known: Known, statuses: Sequence[TrialStatus], *, title: str
) -> Any:
  from rich import table, text

  view = table.Table(title=title, title_justify="left")
  for column in ("trial", "state", aim.metric, "settings"):
    view.add_column(column)
  running = [each for each in statuses if each.state == "running"]
  for each in [*ranked(aim, statuses)[:_BEST], *running]:
    progress = max(each.curve, default=0) / COMPLETE
    state = f"{progress:.0%}" if each.state == "running" else each.state
    latest = each.curve[max(each.curve)] if each.curve else None
    value = each.value if each.value is not None else latest
    view.add_row(
      str(each.number),
      state,
      "" if value is None else f"{value:.4g}",
      # rich does not interpret markup such as [red] in Text.
      text.Text(settings_text(known(each.number).get("settings", {}))),
    )
  return view


def _time_left(statuses: Sequence[TrialStatus]) -> str:
  ended = [s for s in statuses if s.state in study.ENDED and s.seconds]
  left = sum(each.state not in study.ENDED for each in statuses)
  if not ended or not left:
    return ""
  seconds = math.ceil(_busy_seconds(ended) / len(ended) * left)
  return f"{datetime.timedelta(seconds=seconds)} left"


def _busy_seconds(ended: Sequence[TrialStatus]) -> float:
  """Seconds in which at least one of the trials ran."""
  total, until = 0.0, -math.inf
  for each in sorted(ended, key=lambda each: each.began):
    end = each.began + each.seconds
    total += max(0.0, end - max(each.began, until))
    until = max(until, end)
  return total


def _short(value: Any) -> str:
  return f"{value:.4g}" if isinstance(value, float) else str(value)
