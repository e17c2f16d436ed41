"""The report page of a search: winners, searchers, cells, and their proxies."""

import pathlib
import shlex
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.report import (
  html,
  numbers,
  search_charts,
  search_children,
  search_progress,
  search_proxy,
  settings_tables,
)
from jaxvision.report.search_progress import Found
from jaxvision.runs import search_folder, sweep_folder
from jaxvision.runs.search_folder import FINAL, NETWORK, Search
from jaxvision.runs.sweep_folder import Sweep

_PROGRESS_NOTE = (
  "Mean over the searches with different seeds, and its 95 % interval "
  "(Student's t). Children are in the order of their proposals. A child "
  "without a complete training counts, but has no value. Equivalent children "
  "have one value. The mean after n children is over the searches that have "
  "so many."
)


def write_search(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes report.html of a search, finished or not.

  Returns:
    The path of report.html.

  Raises:
    FileNotFoundError: the folder is not a search.
    ValueError: the definition of the search is damaged.
  """
  search = search_folder.read_search(workdir)
  path = search.workdir / "report.html"
  files.write_text(path, _document(search))
  return path


def _document(search: Search) -> str:
  searchers = search_progress.by_searcher(search)
  settings = sweep_folder.settings(search.final) if search.final else []
  metric = search.final.metric if search.final else ""
  results = settings_tables.results(settings, keys=[NETWORK], metric=metric)
  pairs = settings_tables.pairs(settings)
  best = search_children.best_children(search, searchers)
  proxy = search_proxy.correlation(search, settings)
  body = _header(search) + html.sections(
    [
      ("Final stage", results, settings_tables.note(settings)),
      ("Pairs", pairs, settings_tables.PAIRS_NOTE),
      ("Learning curves", _progress(search, searchers), _PROGRESS_NOTE),
      ("Best children", best, search_children.NOTE),
      ("Proxy", proxy, search_proxy.NOTE),
      ("Sweeps", _sweeps(search), ""),
      ("Failures", _failures(search), ""),
      ("Next", _commands(search), ""),
    ]
  )
  return html.document(search.definition["question"], body=body)


def _header(search: Search) -> str:
  definition, objective = search.definition, search.definition["objective"]
  counts = Counter(
    child.state
    for part in search.parts
    if part.sweep
    for child in search_folder.children(part.sweep)
  )
  facts = {
    "searches": numbers.integer(len(search.parts)),
    "children of each": numbers.integer(definition["children"]),
    **{f"children {k}": numbers.integer(n) for k, n in sorted(counts.items())},
    "networks of the final stage": numbers.integer(len(search.networks)),
  }
  lines = "".join(f"<li>{html.escape(each)}</li>" for each in search.problems)
  problems = f'<ul class="problems">{lines}</ul>' if lines else ""
  return (
    f'<header><p class="kicker">{html.escape(definition["recipe"])}, '
    f"{html.escape(objective['goal'])} {html.escape(objective['metric'])} "
    f"({html.escape(objective['at'])}), "
    f"{html.escape(definition['experiment'])}</p>"
    f"<h1>{html.escape(definition['question'])}</h1>"
    f'<p class="soft">{html.escape(definition["read"])}</p>'
    f"{html.tiles(facts)}{problems}</header>"
  )


def _progress(
  search: Search, searchers: Mapping[str, Sequence[Sequence[Found]]]
) -> str:
  """Charts and a table of the best children so far."""
  # A grid has the order of the file.
  shown = {name: each for name, each in searchers.items() if name != "grid"}
  rows = {name: [name, len(found)] for name, found in shown.items()}
  charts = ""
  for top in search_progress.TOPS:
    title = "Best child" if top == 1 else f"Mean of the best {top}"
    lines = {
      name: search_progress.measure(found, top=top, sign=search.sign)
      for name, found in shown.items()
    }
    for name, each in lines.items():
      rows[name] += search_progress.last(each)
    label = f"{search.metric}, {title.lower()}"
    if chart := search_charts.draw_progress(lines, label=label):
      charts += html.figure(chart, title=title)
  if not charts:
    return ""
  colours = search_charts.COLOURS
  keys = [
    (name, f"series-{i % colours}", "solid") for i, name in enumerate(shown)
  ]
  return (
    f'<p>{html.legend(keys)}</p><div class="charts">{charts}</div>'
    f"{_ends(list(rows.values()))}"
  )


def _ends(rows: Sequence[Sequence]) -> str:
  """A table of the values at the ends of the curves."""
  columns = {"searcher": str, "searches": numbers.integer}
  for top in search_progress.TOPS:
    columns[f"best {top}"] = numbers.significant
    columns[f"best {top}: ± 95 %"] = numbers.significant
  shown = [
    [None if isinstance(x, float) and np.isnan(x) else x for x in row]
    for row in rows
  ]
  return f'<div class="card">{html.table(columns, shown, sortable=True)}</div>'


def _all_sweeps(search: Search) -> Iterator[tuple[str, Sweep | None]]:
  yield from ((part.name, part.sweep) for part in search.parts)
  yield FINAL, search.final


def _sweeps(search: Search) -> str:
  """A table of all sweeps of the search, with links to their reports."""
  states = ("complete", "pruned", "failed", "running")
  columns = {
    "sweep": str,
    "trials": numbers.integer,
    **dict.fromkeys(states, numbers.integer),
    f"best {search.metric}": numbers.significant,
  }
  rows, links = [], []
  for name, sweep in _all_sweeps(search):
    counts = Counter(each.state for each in sweep.trials) if sweep else {}
    best = sweep_folder.ranked(sweep)[:1] if sweep else []
    planned = sweep.definition["trials"] if sweep else None
    value = best[0].value if best else None
    rows.append([name, planned, *(counts.get(s, 0) for s in states), value])
    exists = (search.workdir / name / "report.html").is_file()
    links.append(urllib.parse.quote(f"{name}/report.html") if exists else "")
  return f'<div class="card">{html.table(columns, rows, links=links)}</div>'


def _failures(search: Search) -> str:
  rows = [
    [
      f"{name} {trial.number}",
      settings_tables.text(trial.settings),
      trial.reason,
    ]
    for name, sweep in _all_sweeps(search)
    for trial in (sweep.trials if sweep else ())
    if trial.state == "failed"
  ]
  if not rows:
    return ""
  table = html.table({"trial": str, "settings": str, "reason": str}, rows)
  return f'<div class="card">{table}</div>'


def _commands(search: Search) -> str:
  """The commands that resume the search, and train a network of it."""
  workdir = str(search.workdir)
  experiment = search.definition["experiment"]
  resume = ["jaxvision", "search", experiment, "--workdir", workdir]
  names = [search_folder.file_name(label) for label in search.networks]
  recipes = [
    shlex.join(
      [
        *("jaxvision", "train", "--config", f"{workdir}/recipes/{name}.py"),
        *("--workdir", f"runs/{name}"),
      ]
    )
    for name in names
  ]
  text = (
    "<p>To resume the search, with the options of its first start:</p>"
    f"<pre>{html.escape(shlex.join(resume))}</pre>"
  )
  if recipes:
    lines = html.escape("\n".join(recipes))
    text += (
      "<p>To train a network of the final stage. The search writes the recipes "
      f"at its end:</p><pre>{lines}</pre>"
    )
  return text
