"""The report page of a search: winners, searchers, cells, and their proxies."""

import os
import pathlib
import shlex
import urllib.parse
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from jaxvision import files, genotypes
from jaxvision.report import (
  html,
  numbers,
  search_charts,
  search_progress,
  settings_tables,
  significance,
)
from jaxvision.runs import reading, search_folder, sweep_folder
from jaxvision.runs.search_folder import NETWORK, Child, Part, Search
from jaxvision.runs.sweep_folder import Setting

_BEST = 3  # cells of each searcher
_COLOURS = search_charts.COLOURS
_PROGRESS_NOTE = (
  "Mean over the searches with different seeds and its 95 % interval (Student's "
  "t). Children are in the order of their proposals; a child without a "
  "complete training counts, but has no value. Equivalent children count once. "
  "A value after n children is the mean of the searches that have n children."
)
_BEST_NOTE = (
  "Equivalent children are one. The value is the mean over all of their "
  "trainings; a child that was found once and looks best was also lucky."
)
_PROXY_NOTE = (
  "Each point is a network of the final stage that was a child of a search: "
  "its mean value there, and the mean and interval of the final stage. A rank "
  "correlation of 1 means that the short training orders these networks as the "
  "final training does. They are the best children only, which lowers the "
  "correlation."
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
  identities = {
    part.name: [_identity(search, c) for c in search_progress.ended(part)]
    for parts in searchers.values()
    for part in parts
  }
  settings = sweep_folder.settings(search.final) if search.final else []
  body = _header(search) + html.sections(
    [
      (
        "Final stage",
        settings_tables.results(settings, keys=[NETWORK]),
        settings_tables.NOTE,
      ),
      ("Pairs", settings_tables.pairs(settings), settings_tables.PAIRS_NOTE),
      (
        "Learning curves",
        _progress(search, searchers, identities),
        _PROGRESS_NOTE,
      ),
      ("Best children", _best(search, searchers, identities), _BEST_NOTE),
      ("Proxy", _proxy(search, settings), _PROXY_NOTE),
      ("Searches", _searches(search), ""),
      ("Failures", _failures(search), ""),
      ("Next", _commands(search), ""),
    ]
  )
  return html.document(search.definition["question"], body=body)


def _header(search: Search) -> str:
  definition = search.definition
  objective = definition["objective"]
  counts = Counter(
    child.state
    for part in search.parts
    if part.sweep
    for child in search_folder.children(part.sweep)
  )
  ended = sum(len(p.sweep.trials) for p in search.parts if p.sweep)
  facts = {
    "searches": numbers.integer(len(search.parts)),
    "trials started": numbers.integer(ended),
    **{f"children {k}": numbers.integer(n) for k, n in sorted(counts.items())},
    "networks of the final stage": numbers.integer(len(search.networks)),
  }
  lines = "".join(f"<li>{html.escape(each)}</li>" for each in search.problems)
  problems = f'<ul class="problems">{lines}</ul>' if lines else ""
  return (
    f'<header><p class="kicker">{html.escape(definition["recipe"])}, '
    f"{html.escape(objective['goal'])} {html.escape(objective['metric'])} "
    f"({html.escape(objective['at'])}), search "
    f"{html.escape(definition['experiment'])}</p>"
    f"<h1>{html.escape(definition['question'])}</h1>"
    f'<p class="soft">{html.escape(definition["read"])}</p>'
    f"{html.tiles(facts)}{problems}</header>"
  )


def _identity(search: Search, child: Child) -> Hashable:
  """A key that is equal for equal settings and equivalent cells."""
  kinds = search.definition["genotypes"]
  return tuple(
    (key, _hash(kinds[key], value) if key in kinds else str(value))
    for key, value in child.settings.items()
  )


def _hash(space: str, genotype: str) -> str:
  return genotypes.create(space).identify(genotype)


def _sign(search: Search) -> int:
  return 1 if search.definition["objective"]["goal"] == "maximize" else -1


def _metric(search: Search) -> str:
  return search.definition["objective"]["metric"]


Identities = Mapping[str, Sequence[Hashable]]
Searchers = Mapping[str, Sequence[Part]]


def _progress(
  search: Search, searchers: Searchers, identities: Identities
) -> str:
  """A chart and a table of the best children so far."""
  values = {
    name: search_progress.values(parts, identities)
    for name, parts in searchers.items()
    if name != "grid"  # Its order is that of the file.
  }
  charts, rows = "", {name: [name, len(each)] for name, each in values.items()}
  for top in search_progress.TOPS:
    title = "Best child" if top == 1 else f"Mean of the best {top}"
    lines = {
      name: search_progress.measure(each, top=top, sign=_sign(search))
      for name, each in values.items()
    }
    for name, each in lines.items():
      rows[name] += search_progress.last(each)
    chart = search_charts.draw_progress(
      lines, label=f"{_metric(search)}, {title.lower()}"
    )
    charts += html.figure(chart, title=title) if chart else ""
  if not charts:
    return ""
  keys = html.legend(
    [(name, f"series-{i % _COLOURS}", "solid") for i, name in enumerate(values)]
  )
  return f'<p>{keys}</p><div class="charts">{charts}</div>{_last_table(rows)}'


def _last_table(rows: Mapping[str, Sequence]) -> str:
  columns = {"searcher": str, "searches": numbers.integer}
  for top in search_progress.TOPS:
    columns[f"best {top}"] = numbers.significant
    columns[f"± 95 % of best {top}"] = numbers.significant
  shown = [
    [None if isinstance(x, float) and np.isnan(x) else x for x in row]
    for row in rows.values()
  ]
  return f'<div class="card">{html.table(columns, shown, sortable=True)}</div>'


def _best(search: Search, searchers: Searchers, identities: Identities) -> str:
  return "".join(
    _best_of(search, name, parts, identities)
    for name, parts in searchers.items()
  )


def _best_of(
  search: Search, name: str, parts: Sequence[Part], identities: Identities
) -> str:
  """Pictures or a table of the best children of a searcher."""
  found: dict[Hashable, list[tuple[Part, Child]]] = {}
  for part in parts:
    for key, child in zip(
      identities[part.name], search_progress.ended(part), strict=True
    ):
      if child.value is not None:
        found.setdefault(key, []).append((part, child))
  best = sorted(
    found.values(),
    key=lambda each: -_sign(search) * _mean(each),
  )[:_BEST]
  if not best:
    return ""
  columns = {
    "child": str,
    _metric(search): numbers.significant,
    "times found": numbers.integer,
    "parameters": numbers.magnitude,
    "FLOPs": numbers.magnitude,
    "settings": str,
  }
  rows, pictures = [], ""
  for each in best:
    part, child = each[0]
    result = _result(search, part, child)
    title = f"{part.name}, child {child.number}"
    rows.append(
      [
        title,
        _mean(each),
        len(each),
        result.get("parameters"),
        result.get("flops_per_image"),
        settings_tables.text(child.settings),
      ]
    )
    pictures += _pictures(search, child, title, _mean(each))
  table = f'<div class="card">{html.table(columns, rows)}</div>'
  gallery = f'<div class="charts">{pictures}</div>' if pictures else ""
  return f"<h3>{html.escape(name)}</h3>{table}{gallery}"


def _mean(equal: Sequence[tuple[Part, Child]]) -> float:
  return float(np.mean([child.value for _, child in equal]))


def _pictures(search: Search, child: Child, title: str, value: float) -> str:
  """The cells of a child as graphs."""
  kinds = search.definition["genotypes"]
  parts = ""
  for key, space in kinds.items():
    if genotype := child.settings.get(key):
      written = numbers.metric(_metric(search), value)
      parts += html.figure(
        genotypes.draw(genotype),
        title=f"{title}: {written}",
        caption=f"{html.escape(_hash(space, genotype))}: "
        f"<code>{html.escape(genotype)}</code>",
      )
  return parts


def _result(search: Search, part: Part, child: Child) -> Mapping:
  """The result of the first run of a child; {} if it cannot be read."""
  trial = child.trials[0]
  run = search.workdir / part.name / "trials" / f"{trial.number:04d}"
  try:
    return reading.read_run(run).result
  except (ValueError, OSError):
    return {}


def _proxy(search: Search, settings: Sequence[Setting]) -> str:
  """The correlation of the values of both stages."""
  pairs = []
  for each in settings:
    label = each.settings.get(NETWORK)
    proxy = search.networks.get(label, {}).get("proxy")
    if proxy is not None:
      half = significance.interval(each.values)
      pairs.append((label, proxy, each.values.mean(), half))
  if len(pairs) < 2:
    return ""
  labels, proxies, means, halves = zip(*pairs, strict=True)
  chart = search_charts.draw_scatter(
    *(proxies, means, halves), labels=labels, metric=_metric(search)
  )
  return html.figure(
    chart,
    title="Short and final training",
    caption=html.escape(_correlations(proxies, means)),
  )


def _correlations(proxies: Sequence[float], means: Sequence[float]) -> str:
  from scipy import stats

  count = f"{len(proxies)} networks"
  if len(proxies) < 3 or min(np.ptp(proxies), np.ptp(means)) == 0:
    return f"{count}: too few different values for a correlation"
  spearman = stats.spearmanr(proxies, means)
  kendall = stats.kendalltau(proxies, means)
  return (
    f"{count}: Spearman {spearman.statistic:.2f} (p = {spearman.pvalue:.2g}), "
    f"Kendall {kendall.statistic:.2f} (p = {kendall.pvalue:.2g})"
  )


def _searches(search: Search) -> str:
  """A table of all sweeps of the search, with links to their reports."""
  columns = {
    "search": str,
    "trials": numbers.integer,
    **dict.fromkeys(
      ("complete", "pruned", "failed", "running"), numbers.integer
    ),
    f"best {_metric(search)}": numbers.significant,
  }
  rows, links = [], []
  sweeps = [(part.name, part.sweep) for part in search.parts]
  for name, sweep in [*sweeps, (search_folder.FINAL, search.final)]:
    states = Counter(each.state for each in sweep.trials) if sweep else {}
    best = sweep_folder.ranked(sweep)[:1] if sweep else []
    rows.append(
      [
        name,
        sweep.definition["trials"] if sweep else None,
        *(states.get(state, 0) for state in list(columns)[2:6]),
        best[0].value if best else None,
      ]
    )
    page = search.workdir / name / "report.html"
    relative = os.path.relpath(page, search.workdir).replace(os.sep, "/")
    links.append(urllib.parse.quote(relative) if page.is_file() else "")
  return f'<div class="card">{html.table(columns, rows, links=links)}</div>'


def _failures(search: Search) -> str:
  sweeps = [(part.name, part.sweep) for part in search.parts]
  rows = [
    [
      f"{name} {trial.number}",
      settings_tables.text(trial.settings),
      trial.reason,
    ]
    for name, sweep in [*sweeps, (search_folder.FINAL, search.final)]
    for trial in (sweep.trials if sweep else ())
    if trial.state == "failed"
  ]
  if not rows:
    return ""
  table = html.table({"trial": str, "settings": str, "reason": str}, rows)
  return f'<div class="card">{table}</div>'


def _commands(search: Search) -> str:
  """The commands that resume the search and train a network of it."""
  workdir = str(search.workdir)
  again = shlex.join(
    ["jaxvision", "search", search.definition["experiment"]]
    + ["--workdir", workdir]
  )
  text = (
    "<p>To resume the search, with the options of its first start:</p>"
    f"<pre>{html.escape(again)}</pre>"
  )
  recipes = [
    shlex.join(
      [
        *("jaxvision", "train", "--config"),
        f"{workdir}/recipes/{search_folder.file_name(label)}.py",
        *("--workdir", f"runs/{search_folder.file_name(label)}"),
      ]
    )
    for label in search.networks
  ]
  if recipes:
    text += (
      "<p>To train a network of the final stage (the search writes the recipes "
      f"at its end):</p><pre>{html.escape(chr(10).join(recipes))}</pre>"
    )
  return text
