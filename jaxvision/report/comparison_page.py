"""The comparison page of several runs: differences, results and spread."""

import collections
import os
import pathlib
import urllib.parse
from collections.abc import Sequence

from jaxvision import files
from jaxvision.files import suffixes
from jaxvision.report import (
  charts,
  class_comparison,
  html,
  measures,
  numbers,
  run_axes,
  run_page,
  seeds,
)
from jaxvision.report.run_axes import Axes
from jaxvision.report.seeds import Group
from jaxvision.runs import reading
from jaxvision.runs.reading import Run
from jaxvision.runs.sweep_folder import FOLD


def write_comparison(
  workdirs: Sequence[str | pathlib.Path], path: str | pathlib.Path
) -> pathlib.Path:
  """Writes one page that compares runs, finished or not.

  Args:
    workdirs: the run folders, at least one.
    path: the HTML file to write; links to reports are relative to it.

  Returns:
    `path`.

  Raises:
    FileNotFoundError: a folder is not a run.
    ValueError: no folder, a repeated folder, or a damaged `config.json`.
  """
  path = pathlib.Path(path)
  suffixes.check(path, ".html", ".htm", what="a page of HTML")
  resolved = [pathlib.Path(workdir).resolve() for workdir in workdirs]
  if not resolved or len(set(resolved)) < len(resolved):
    raise ValueError(
      f"cannot compare {[str(workdir) for workdir in workdirs]}: pass "
      "different run folders, at least one"
    )
  page_text = _document(
    [reading.read_run(workdir) for workdir in workdirs], path
  )
  files.write_text(path, page_text)
  return path


def _common(compared: Sequence[Run]) -> str:
  """The metric that the runs are compared by: that of most runs."""
  counts = collections.Counter(
    measures.main_of(run) for run in compared if run.lines or run.result
  )
  return max(counts, key=counts.__getitem__, default="top1")


def differing_keys(compared: Sequence[Run]) -> list[str]:
  """The config keys whose values differ between the runs, sorted."""
  first = compared[0].config
  return sorted(
    {
      key
      for run in compared[1:]
      for key, _, _ in reading.compare_configs(first, run.config)
    }
  )


def _document(compared: list[Run], path: pathlib.Path) -> str:
  names = _names(compared)
  keys = differing_keys(compared)
  metric = _common(compared)
  ranked = sorted(compared, key=lambda run: _rank(run, metric))
  shared = [key for key in keys if key not in seeds.REPEATED]
  groups = seeds.groups(ranked, shared, metric)
  labels = [_label(group, names, keys) for group in groups]
  body = (
    _header(ranked, names, keys)
    + html.section(
      "Runs", content=_runs_table(ranked, names, keys, path, metric)
    )
    + html.section(
      "Seeds",
      content=_seeds_table(groups, shared),
      note="Runs that differ in the seed and the fold only: mean and sample "
      f"standard deviation (n - 1) of the {_label_of(metric)}. The difference "
      "is to the best mean. p is of equal means (paired test for equal seeds, "
      "otherwise Welch's test), corrected for the number of differences "
      "(Holm); below 0.05, a difference is significant.",
    )
    + html.section(
      "Decisions",
      content=class_comparison.decisions(groups, labels),
      note=class_comparison.DECISIONS_NOTE,
    )
    + html.section(
      "Classes",
      content=class_comparison.classes(groups, labels),
      note=class_comparison.CLASSES_NOTE,
    )
    + html.section("Learning curves", content=_curves(groups, labels, metric))
  )
  return html.document(
    f"{len(compared)} runs compared", body=body, scripts=charts.scripts()
  )


def _rank(run: Run, metric: str) -> tuple[bool, float]:
  return seeds.sort_key(seeds.final_value(run, metric), metric)


def _label_of(metric: str) -> str:
  return "accuracy" if metric == "top1" else metric


def _names(compared: list[Run]) -> dict[pathlib.Path, str]:
  # The shortest paths that are different for all runs.
  resolved = [str(run.workdir.resolve()) for run in compared]
  parents = [os.path.dirname(path) for path in resolved]
  common = os.path.commonpath(parents)
  return {
    run.workdir: os.path.relpath(path, common)
    for run, path in zip(compared, resolved, strict=True)
  }


def _header(
  ranked: list[Run], names: dict[pathlib.Path, str], keys: list[str]
) -> str:
  differ = ", ".join(keys) if keys else "nothing: all configs are equal"
  best = ranked[0]
  return (
    f'<header><p class="kicker">Best: {html.escape(names[best.workdir])}, '
    f"{html.escape(run_page.headline(best))}</p>"
    f"<h1>{len(ranked)} runs compared</h1>"
    f'<p class="soft">They differ in {html.escape(differ)}.</p></header>'
  )


def _runs_table(
  ranked: list[Run],
  names: dict[pathlib.Path, str],
  keys: list[str],
  path: pathlib.Path,
  metric: str,
) -> str:
  values = _values(ranked, metric)
  columns = {
    "run": str,
    "split": str,
    **{label: numbers.writer(name) for label, name in values.items()},
    **dict.fromkeys(keys, str),
    "steps": numbers.integer,
    "parameters": numbers.magnitude,
    "time": numbers.duration,
    "status": str,
  }
  rows = [
    [names[run.workdir], reading.final(run)[0]]
    + [reading.final(run)[1].get(name) for name in values.values()]
    + [*seeds.settings(run, keys)]
    + [run.result.get(key) for key in ("step", "parameters", "seconds")]
    + [run_page.status(run)]
    for run in ranked
  ]
  links = [_link(run, path) for run in ranked]
  table = html.table(columns, rows, links=links, sortable=True)
  return f'<div class="card">{table}</div>'


def _values(ranked: list[Run], metric: str) -> dict[str, str]:
  """The shown metrics, {heading: name}: those that some run has."""
  shown = {
    _label_of(metric): metric,
    "loss": "loss",
    "agreement": "agreement",
    "F1, macro": "f1_macro",
    "calibration error": "calibration_error",
  }
  finals = [reading.final(run)[1] for run in ranked]
  known = {name for final in finals for name in final}
  return {
    label: name
    for label, name in shown.items()
    if name in known or name == metric
  }


def _link(run: Run, path: pathlib.Path) -> str:
  target = run.workdir / "report.html"
  if not target.is_file():
    return ""
  relative = os.path.relpath(target.resolve(), path.resolve().parent)
  return urllib.parse.quote(relative.replace(os.sep, "/"))


def _seeds_table(groups: list[Group], keys: list[str]) -> str:
  if all(len(group.members) == 1 for group in groups):
    return ""
  columns = {
    **dict.fromkeys(keys, str),
    "mean": numbers.writer(groups[0].metric),
    "spread": numbers.writer(groups[0].metric),
    "runs": numbers.integer,
    "difference": numbers.writer(groups[0].metric),
    "p": numbers.significant,
    "each": str,
  }
  rows = [
    [
      *group.settings,
      *seeds.statistics(group),
      len(group.members),
      *difference,
      _each(group),
    ]
    for group, difference in zip(groups, seeds.differences(groups), strict=True)
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def _each(group: Group) -> str:
  write = numbers.writer(group.metric)
  return ", ".join(
    write(seeds.final_value(run, group.metric)) for run in group.members
  )


def _curves(groups: list[Group], labels: list[str], metric: str) -> str:
  first = groups[0].members[0]
  main, loss = measures.axis(metric, first), measures.axis("loss", first)
  axes = run_axes.of([run for group in groups for run in group.members])
  drawn = "".join(
    _chart(groups, labels, metric, axes, title=title, label=label)
    for metric, title, label in (
      (f"validation/{metric}", f"Validation {_label_of(metric)}", main),
      ("validation/loss", "Validation loss", f"validation {loss}"),
      ("train/loss", "Training loss", f"training {loss}"),
      ("learning_rate", "Learning rate", "learning rate"),
    )
  )
  if not drawn:
    return ""
  return f'{charts.controls(axes.labels)}<div class="charts">{drawn}</div>'


def _label(
  group: Group, names: dict[pathlib.Path, str], keys: list[str]
) -> str:
  if len(group.members) == 1:
    return names[group.members[0].workdir]
  shown = [key for key in keys if key not in seeds.REPEATED]
  pairs = zip(shown, group.settings, strict=True)
  settings = ", ".join(f"{key}={value}" for key, value in pairs)
  what = "runs" if FOLD in keys else "seeds"
  return f"{settings or 'all'} ({len(group.members)} {what})"


def _chart(
  groups: list[Group],
  labels: list[str],
  metric: str,
  axes: Axes,
  *,
  title: str,
  label: str,
) -> str:
  curves = []
  scale = numbers.scale(metric)
  for index, (group, name) in enumerate(zip(groups, labels, strict=True)):
    for run in group.members:
      steps, values = reading.series(run, metric)
      if steps.size:
        style = charts.style(index)
        curves.append(
          run_axes.curve(
            run, steps, scale * values, name=name, axes=axes, style=style
          )
        )
  if not curves:
    return ""
  wide = "if wide" if metric.endswith("loss") else "offered"
  return charts.figure(
    charts.Chart(
      curves, title=title, axes=axes.labels, label=label, logarithm=wide
    )
  )
