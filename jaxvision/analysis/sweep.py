"""The page of a sweep: what was asked, what came of it, and how surely."""

import os
import pathlib
import shlex
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import files, spreadsheets
from jaxvision.analysis import (
  figures,
  formats,
  importance,
  page,
  parallel,
  provenance,
  runs,
  significance,
  trials,
)
from jaxvision.analysis.trials import SEED, Setting, Sweep, Trial

_COLOURS = 7  # as many as --series-N in the stylesheet
_COMPARED = 8  # settings in the table of pairs
_SHOWN = 20  # settings and trials in the tables
_SEEDS = 10  # of the command that runs the best again


def write_sweep(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes report.html and trials.csv of a sweep, in whatever state it is.

  Returns:
    The path of report.html.

  Raises:
    FileNotFoundError: the folder is no sweep.
  """
  sweep = trials.read_sweep(workdir)
  files.write_text(sweep.workdir / "trials.csv", _csv(sweep))
  path = sweep.workdir / "report.html"
  files.write_text(path, _document(sweep))
  return path


def _document(sweep: Sweep) -> str:
  settings = trials.settings(sweep)
  keys = trials.varied(sweep)
  body = (
    _header(sweep)
    + page.section("Settings", content=_settings(settings, keys), note=_NOTE)
    + page.section("Pairs", content=_pairs(settings), note=_PAIRS_NOTE)
    + page.section("What matters", content=_what_matters(sweep, keys))
    + page.section("Trials", content=_trials(sweep, keys))
    + page.section("Curves", content=_curves(sweep, settings))
    + page.section("Failures", content=_failures(sweep))
    + page.section("Go on", content=_commands(sweep, settings))
  )
  return page.document(sweep.asked["question"], body=body)


_NOTE = (
  "Trials that differ in nothing but the seed, the best mean first. The "
  "interval is that of the mean, 95 %, Student's t; the best of many settings "
  "looks better than it is."
)
_PAIRS_NOTE = (
  "p-values of no difference between two settings (paired where they share "
  "their seeds, Welch otherwise), corrected for the number of pairs (Holm). "
  "Below 0.05 a difference is shown."
)


def _header(sweep: Sweep) -> str:
  counts = Counter(trial.state for trial in sweep.trials)
  left = sweep.asked["trials"] - len(sweep.trials)
  best = trials.ranked(sweep)[:1]
  facts = {
    "trials": formats.integer(sweep.asked["trials"]),
    **{state: formats.integer(count) for state, count in counts.items()},
    **({"not begun": formats.integer(left)} if left else {}),
    **{
      f"best {sweep.metric}": formats.metric(sweep.metric, each.value)
      for each in best
    },
  }
  objective = sweep.asked["objective"]
  return (
    f'<header><p class="kicker">{page.escape(sweep.asked["recipe"])}, '
    f"{page.escape(objective['goal'])} {page.escape(objective['metric'])} "
    f"({page.escape(objective['at'])}), searcher "
    f"{page.escape(sweep.asked['searcher'])}</p>"
    f"<h1>{page.escape(sweep.asked['question'])}</h1>"
    f'<p class="soft">{page.escape(sweep.asked["read"])}</p>'
    f"{page.tiles(facts)}{_problems(sweep)}</header>"
  )


def _problems(sweep: Sweep) -> str:
  lines = "".join(f"<li>{page.escape(each)}</li>" for each in sweep.problems)
  return f'<ul class="problems">{lines}</ul>' if lines else ""


def _settings(settings: Sequence[Setting], keys: Sequence[str]) -> str:
  if not settings:
    return ""
  keys = [key for key in keys if key != SEED]
  columns = {
    **dict.fromkeys(keys, _written),
    "mean": formats.significant,
    "± 95 %": formats.significant,
    "least": formats.significant,
    "most": formats.significant,
    "test": formats.significant,
    "seeds": formats.integer,
  }
  rows = [
    [
      *(each.settings.get(key, formats.NOTHING) for key in keys),
      each.values.mean(),
      significance.interval(each.values),
      each.values.min(),
      each.values.max(),
      _final(each.trials),
      len(each.trials),
    ]
    for each in settings[:_SHOWN]
  ]
  return f'<div class="card">{page.table(columns, rows, sortable=True)}</div>'


def _final(of: Sequence[Trial]) -> float | None:
  """The mean accuracy at the end, on the test split if there is one."""
  finals = [runs.final(trial.run)[1].get("top1") for trial in of if trial.run]
  finals = [value for value in finals if formats.is_number(value)]
  return float(np.mean(finals)) if finals else None


def _pairs(settings: Sequence[Setting]) -> str:
  compared = [each for each in settings if len(each.trials) > 1][:_COMPARED]
  if len(compared) < 2:
    return ""
  table = significance.pairwise([_by_seed(each) for each in compared])
  names = [_name(each) for each in compared]
  columns = {"": str, **{str(i): _p for i in range(1, len(compared) + 1)}}
  rows = [
    [f"{i}. {name}", *(None if np.isnan(p) else p for p in row)]
    for i, (name, row) in enumerate(zip(names, table, strict=True), 1)
  ]
  return f'<div class="card">{page.table(columns, rows)}</div>'


def _by_seed(setting: Setting) -> dict[int, float]:
  return {
    trial.overrides.get(SEED, trial.number): trial.value
    for trial in setting.trials
  }


def _what_matters(sweep: Sweep, keys: Sequence[str]) -> str:
  complete = trials.ranked(sweep)
  if len(complete) < 2 or not keys:
    return ""
  columns = trials.columns(complete, keys)
  values = np.array([trial.value for trial in complete])
  shares = importance.importances(columns, values)
  chart = parallel.parallel_coordinates(columns, values, name=sweep.metric)
  table = page.table(
    {"setting": str, "importance": formats.percent},
    [[key, share] for key, share in shares.items()],
  )
  return page.figure(
    chart,
    title="Parallel coordinates",
    caption="Each line is a complete trial; the best tenth stands out.",
  ) + page.figure(
    table,
    title="Importance",
    caption="What a random forest loses when a setting is shuffled, as a share "
    "of all losses. That of the seed is chance.",
  )


def _trials(sweep: Sweep, keys: Sequence[str]) -> str:
  best = trials.ranked(sweep)[:_SHOWN]
  columns = {
    "trial": str,
    sweep.metric: formats.significant,
    **dict.fromkeys(keys, _written),
  }
  rows = [
    [
      str(trial.number),
      trial.value,
      *(trial.settings.get(key, formats.NOTHING) for key in keys),
    ]
    for trial in best
  ]
  if not rows:
    return ""
  links = [_link(trial, sweep) for trial in best]
  table = page.table(columns, rows, links=links, sortable=True)
  command = provenance.recipe_command(
    sweep.asked["recipe"],
    best[0].overrides,
    *("--workdir", f"{sweep.workdir}-best"),
  )
  return (
    f'<div class="card">{table}</div><p class="note">The best, as a run of its '
    f"own:</p><pre>{page.escape(command)}</pre>"
  )


def _curves(sweep: Sweep, settings: Sequence[Setting]) -> str:
  """All trials in grey, those of the best settings in their colours."""
  colour_of = {
    trial.number: f"series-{place}"
    for place, each in enumerate(settings[:_COLOURS])
    for trial in each.trials
  }
  curves = []
  for trial in sorted(sweep.trials, key=lambda each: each.number in colour_of):
    if trial.run:
      steps, values = runs.series(trial.run, sweep.metric)
      if steps.size:
        colour = colour_of.get(trial.number, "grid")
        curves.append(figures.Curve(steps, values, colour))
  if not curves:
    return ""
  chart = figures.line_chart(
    curves,
    label=sweep.metric,
    height=3.6,
    positive=sweep.metric.endswith("loss"),
  )
  entries = [
    (_name(each), f"series-{place}", "solid")
    for place, each in enumerate(settings[:_COLOURS])
  ]
  return page.figure(chart, title=sweep.metric, caption=page.legend(entries))


def _failures(sweep: Sweep) -> str:
  failed = [trial for trial in sweep.trials if trial.state == "failed"]
  if not failed:
    return ""
  rows = [
    [str(trial.number), _text(trial.settings), trial.reason] for trial in failed
  ]
  table = page.table({"trial": str, "settings": str, "reason": str}, rows)
  return f'<div class="card">{table}</div>'


def _commands(sweep: Sweep, settings: Sequence[Setting]) -> str:
  if not settings:
    return ""
  workdir = str(sweep.workdir)
  again = shlex.join(
    ["jaxvision", "sweep", "--rerun", workdir, "--workdir", f"{workdir}-again"]
  )
  return (
    "<p>The best three settings again, with more seeds:</p>"
    f"<pre>{page.escape(again)} --top=3 --seeds={_SEEDS}</pre>"
  )


def _csv(sweep: Sweep) -> str:
  """One row for each trial, settings as columns."""
  keys = list(dict.fromkeys(key for t in sweep.trials for key in t.settings))
  head = ("trial", "state", sweep.metric, *keys)
  rows = [[*head, "test", "step", "seconds", "reason"]]
  for trial in sweep.trials:
    result: Mapping[str, Any] = trial.run.result if trial.run else {}
    rows.append(
      [
        *(trial.number, trial.state, trial.value),
        *(trial.settings.get(key, "") for key in keys),
        *(_final([trial]), result.get("step"), result.get("seconds")),
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


def _name(setting: Setting) -> str:
  return _text(setting.settings) or "all"


def _text(settings: Mapping[str, Any]) -> str:
  return ", ".join(
    f"{key.split('.')[-1]}={_written(value)}" for key, value in settings.items()
  )


def _written(value: Any) -> str:
  return f"{value:.4g}" if isinstance(value, float) else str(value)


def _p(value: float | None) -> str:
  return formats.NOTHING if value is None else f"{value:.2g}"
