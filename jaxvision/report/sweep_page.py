"""The report page of a sweep: question, results and significance."""

import os
import pathlib
import shlex
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.files import spreadsheets
from jaxvision.report import (
  charts,
  html,
  importance,
  numbers,
  parallel_coordinates,
  provenance,
  run_axes,
  settings_tables,
  sweep_charts,
  sweep_contours,
)
from jaxvision.runs import reading, sweep_folder
from jaxvision.runs.sweep_folder import FOLDS, Setting, Sweep, Trial

_COLOURED = 7  # settings whose curves have a colour
_OTHERS = ("other trials", ("line", "solid"))
_SHOWN = 20  # trials in the table
_SLICES = 8  # settings with a chart of their own
_SEEDS = 10  # seeds in the command that reruns the best settings


def write_sweep(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes report.html and trials.csv of a sweep, finished or not.

  Returns:
    The path of report.html.

  Raises:
    FileNotFoundError: the folder is not a sweep.
  """
  sweep = sweep_folder.read_sweep(workdir)
  files.write_text(sweep.workdir / "trials.csv", _csv(sweep))
  path = sweep.workdir / "report.html"
  files.write_text(path, _document(sweep))
  return path


def best_setting(workdir: str | pathlib.Path) -> str:
  """One line about the best setting by its mean; "" without a complete trial.

  Raises:
    FileNotFoundError: the folder is not a sweep.
  """
  sweep = sweep_folder.read_sweep(workdir, with_runs=False)
  settings = sweep_folder.settings(sweep)
  if not settings:
    return ""
  best = settings[0]
  words = settings_tables.in_words(best, sweep.metric)
  return f"{settings_tables.name(best)}: {words}"


def _document(sweep: Sweep) -> str:
  settings = sweep_folder.settings(sweep)
  keys = sweep_folder.varied(sweep)
  body = (
    _header(sweep, settings)
    + html.section(
      "Settings",
      content=settings_tables.results(settings, keys=keys, metric=sweep.metric),
      note=settings_tables.note(settings),
    )
    + html.section(
      "Folds",
      content=settings_tables.folds(settings, keys=keys, metric=sweep.metric),
      note=settings_tables.FOLDS_NOTE,
    )
    + html.section(
      "Pairs",
      content=settings_tables.pairs(settings),
      note=settings_tables.PAIRS_NOTE,
    )
    + _charts(sweep, settings)
    + html.section("Trials", content=_trials(sweep, keys, settings))
    + html.section("Curves", content=_curves(sweep, settings))
    + html.section("Failures", content=_failures(sweep))
    + html.section("Next", content=_commands(sweep, settings))
  )
  return html.document(
    sweep.definition["question"], body=body, scripts=charts.scripts()
  )


def _header(sweep: Sweep, settings: Sequence[Setting]) -> str:
  counts = Counter(trial.state for trial in sweep.trials)
  left = sweep.definition["trials"] - len(sweep.trials)
  # The folds of a setting have different data: no fold is better than another.
  folded = settings_tables.has_folds(settings)
  best = [] if folded else sweep_folder.ranked(sweep)[:1]
  facts = {
    "trials": numbers.integer(sweep.definition["trials"]),
    **{state: numbers.integer(count) for state, count in counts.items()},
    **({"not started": numbers.integer(left)} if left else {}),
    **{
      f"best trial, {sweep.metric}": numbers.metric(sweep.metric, each.value)
      for each in best
    },
  }
  objective = sweep.definition["objective"]
  return (
    f'<header><p class="kicker">{html.escape(sweep.definition["recipe"])}, '
    f"{html.escape(objective['goal'])} {html.escape(objective['metric'])} "
    f"({html.escape(objective['at'])}), searcher "
    f"{html.escape(sweep.definition['searcher'])}</p>"
    f"<h1>{html.escape(sweep.definition['question'])}</h1>"
    f"{_best(sweep, settings)}"
    f'<p class="soft">{html.escape(sweep.definition["read"])}</p>'
    f"{html.tiles(facts)}{_problems(sweep)}</header>"
  )


def _best(sweep: Sweep, settings: Sequence[Setting]) -> str:
  """The best setting by its mean: a single trial may be lucky."""
  if not settings:
    return ""
  name = html.escape(settings_tables.name(settings[0]))
  value = html.escape(settings_tables.in_words(settings[0], sweep.metric))
  return f'<p class="best"><b>{name}</b>: {value}</p>'


def _problems(sweep: Sweep) -> str:
  lines = "".join(f"<li>{html.escape(each)}</li>" for each in sweep.problems)
  return f'<ul class="problems">{lines}</ul>' if lines else ""


def _charts(sweep: Sweep, settings: Sequence[Setting]) -> str:
  """The sections of the objective by trials and by settings."""
  folded = settings_tables.has_folds(settings)
  history = sweep_charts.history(sweep, by_best=not folded)
  shares = _importances(sweep)
  # Seeds and folds repeat a setting.
  keys = [
    key for key in shares if any(key in each.settings for each in settings)
  ]
  return (
    html.section("History", content=_grid(history))
    + html.section("Importance", content=_importance(sweep, shares, keys))
    + html.section(
      "Slices",
      content=_grid(sweep_charts.slices(sweep, keys[:_SLICES])),
      note="The complete trials by each setting, the most important first.",
    )
    + html.section(
      "Contours",
      content=_grid(sweep_contours.contours(sweep, keys)),
      note="Pairs of the most important settings.",
    )
  )


def _importances(sweep: Sweep) -> dict[str, float]:
  """The importance of each key that differs, largest first."""
  complete = sweep_folder.ranked(sweep)
  keys = sweep_folder.varied(sweep)
  if len(complete) < 2 or not keys:
    return {}
  values = np.array([trial.value for trial in complete])
  return importance.importances(sweep_folder.columns(complete, keys), values)


def _importance(
  sweep: Sweep, shares: Mapping[str, float], keys: Sequence[str]
) -> str:
  if not shares:
    return ""
  bars = html.figure(
    html.bars(shares),
    title="Importance",
    caption="Loss of R² of a random forest when a setting is shuffled, as a "
    "fraction of all losses. The importance of the seed and of the fold is "
    "due to chance.",
  )
  if not keys:
    return bars
  complete = sweep_folder.ranked(sweep)
  scale = numbers.scale(sweep.metric)
  values = scale * np.array([trial.value for trial in complete])
  chart = parallel_coordinates.parallel_coordinates(
    sweep_folder.columns(complete, keys),
    values,
    name=sweep_charts.label(sweep),
  )
  return bars + html.figure(
    chart,
    title="Parallel coordinates",
    caption="Each line is a complete trial; the best tenth is in colour.",
  )


def _grid(content: str) -> str:
  return content and f'<div class="charts">{content}</div>'


def _trials(
  sweep: Sweep, keys: Sequence[str], settings: Sequence[Setting]
) -> str:
  best = sweep_folder.ranked(sweep)[:_SHOWN]
  columns = {
    "trial": str,
    sweep.metric: numbers.writer(sweep.metric),
    **dict.fromkeys(keys, settings_tables.written),
  }
  rows = [
    [
      str(trial.number),
      trial.value,
      *(trial.settings.get(key, numbers.NOTHING) for key in keys),
    ]
    for trial in best
  ]
  if not rows:
    return ""
  links = [_link(trial, sweep) for trial in best]
  table = html.table(columns, rows, links=links, sortable=True)
  return f'<div class="card">{table}</div>{_best_run(sweep, settings)}'


def _best_run(sweep: Sweep, settings: Sequence[Setting]) -> str:
  """The command of the best trial; of the best setting if there are folds."""
  if settings_tables.has_folds(settings):
    what = "The best setting as a single run without folds"
    first = settings[0].trials[0].overrides
    overrides = {**sweep_folder.without_repetitions(first), FOLDS: 0}
  else:
    what = "The best trial as a single run"
    overrides = sweep_folder.ranked(sweep)[0].overrides
  command = provenance.recipe_command(
    sweep.definition["recipe"],
    overrides,
    *("--workdir", f"{sweep.workdir}-best"),
  )
  return f'<p class="note">{what}:</p><pre>{html.escape(command)}</pre>'


def _curves(sweep: Sweep, settings: Sequence[Setting]) -> str:
  """The curves of all trials in grey, of the best settings in colour."""
  style_of = {
    trial.number: (settings_tables.name(each), charts.style(place))
    for place, each in enumerate(settings[:_COLOURED])
    for trial in each.trials
  }
  runs = [trial.run for trial in sweep.trials if trial.run and trial.run.lines]
  if not runs:
    return ""
  axes = run_axes.of(runs)
  scale = numbers.scale(sweep.metric)
  curves = []
  for trial in sorted(sweep.trials, key=lambda each: each.number in style_of):
    if not trial.run:
      continue
    steps, values = reading.series(trial.run, sweep.metric)
    if steps.size:
      name, style = style_of.get(trial.number, _OTHERS)
      curves.append(
        run_axes.curve(
          trial.run, steps, scale * values, name=name, axes=axes, style=style
        )
      )
  if not curves:
    return ""
  loss = sweep.metric.endswith("loss")
  chart = charts.Chart(
    curves,
    title=sweep.metric,
    axes=axes.labels,
    label=sweep_charts.label(sweep),
    logarithm="if wide" if loss else "offered",
  )
  return (
    f"{charts.controls(axes.labels)}"
    f'<div class="charts tall">{charts.figure(chart)}</div>'
  )


def _failures(sweep: Sweep) -> str:
  failed = [trial for trial in sweep.trials if trial.state == "failed"]
  if not failed:
    return ""
  rows = [
    [str(trial.number), settings_tables.text(trial.settings), trial.reason]
    for trial in failed
  ]
  table = html.table({"trial": str, "settings": str, "reason": str}, rows)
  return f'<div class="card">{table}</div>'


def _commands(sweep: Sweep, settings: Sequence[Setting]) -> str:
  if not settings:
    return ""
  workdir = str(sweep.workdir)
  again = shlex.join(
    ["jaxvision", "sweep", "--rerun", workdir, "--workdir", f"{workdir}-again"]
  )
  return (
    "<p>To rerun the best three settings with more seeds:</p>"
    f"<pre>{html.escape(again)} --top=3 --seeds={_SEEDS}</pre>"
  )


def _csv(sweep: Sweep) -> str:
  """A table with one row per trial and one column per setting."""
  keys = list(dict.fromkeys(key for t in sweep.trials for key in t.settings))
  head = ("trial", "state", sweep.metric, *keys)
  rows = [[*head, "test", "step", "seconds", "reason"]]
  for trial in sweep.trials:
    result: Mapping[str, Any] = trial.run.result if trial.run else {}
    rows.append(
      [
        *(trial.number, trial.state, trial.value),
        *(trial.settings.get(key, "") for key in keys),
        *(
          settings_tables.final([trial]),
          result.get("step"),
          result.get("seconds"),
        ),
        trial.reason,
      ]
    )
  return spreadsheets.to_csv(rows)


def _link(trial: Trial, sweep: Sweep) -> str:
  target = trial.run.workdir / "report.html" if trial.run else None
  if target is None or not target.is_file():
    return ""
  relative = os.path.relpath(target, sweep.workdir)
  return urllib.parse.quote(relative.replace(os.sep, "/"))
