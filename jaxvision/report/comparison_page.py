"""The comparison page of several runs: differences, results and spread."""

import dataclasses
import os
import pathlib
import urllib.parse
from collections.abc import Sequence

import numpy as np

from jaxvision import files
from jaxvision.files import suffixes
from jaxvision.report import figures, html, numbers, run_page
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

_COLOURS = 7  # number of --series-N colours in the stylesheet
_DASHES = ("solid", "dashed", "dotted")


@dataclasses.dataclass(frozen=True)
class Group:
  """Runs whose configs differ in the seed only, best first."""

  settings: tuple[str, ...]
  members: tuple[Run, ...]


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


def accuracy(run: Run) -> float:
  """Top-1 accuracy of the final split in [0, 1]; NaN if the run has none."""
  value = reading.final(run)[1].get("top1")
  return float(value) if numbers.is_number(value) else float("nan")


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
  ranked = sorted(compared, key=_rank)
  groups = _groups(ranked, [key for key in keys if key != "seed"])
  body = (
    _header(ranked, names, keys)
    + html.section("Runs", content=_runs_table(ranked, names, keys, path))
    + html.section(
      "Seeds",
      content=_seeds_table(groups, [key for key in keys if key != "seed"]),
      note="Runs that differ in the seed only: mean and sample standard "
      "deviation (n - 1) of the accuracy.",
    )
    + html.section("Learning curves", content=_curves(groups, names, keys))
  )
  return html.document(f"{len(compared)} runs compared", body=body)


def _rank(run: Run) -> tuple[bool, float]:
  value = accuracy(run)
  return bool(np.isnan(value)), -value


def _names(compared: list[Run]) -> dict[pathlib.Path, str]:
  # The shortest paths that are different for all runs.
  resolved = [str(run.workdir.resolve()) for run in compared]
  parents = [os.path.dirname(path) for path in resolved]
  common = os.path.commonpath(parents)
  return {
    run.workdir: os.path.relpath(path, common)
    for run, path in zip(compared, resolved, strict=True)
  }


def _groups(ranked: list[Run], keys: list[str]) -> list[Group]:
  members: dict[tuple[str, ...], list[Run]] = {}
  for run in ranked:
    members.setdefault(_settings(run, keys), []).append(run)
  groups = [Group(key, tuple(of_key)) for key, of_key in members.items()]
  return sorted(groups, key=_group_rank)


def _group_rank(group: Group) -> tuple[bool, float]:
  mean = _statistics(group)[0]
  return mean is None, -(mean or 0.0)


def _statistics(group: Group) -> tuple[float | None, float | None]:
  """Mean and sample standard deviation of the accuracies that are known."""
  values = [accuracy(run) for run in group.members]
  values = [value for value in values if not np.isnan(value)]
  mean = float(np.mean(values)) if values else None
  return mean, float(np.std(values, ddof=1)) if len(values) > 1 else None


def _settings(run: Run, keys: list[str]) -> tuple[str, ...]:
  flat = reading.flatten(run.config)
  return tuple(
    str(flat[key]) if key in flat else numbers.NOTHING for key in keys
  )


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
) -> str:
  columns = {
    "run": str,
    "split": str,
    "accuracy": numbers.percent,
    "loss": numbers.significant,
    "F1, macro": numbers.percent,
    "calibration error": numbers.percent,
    **dict.fromkeys(keys, str),
    "steps": numbers.integer,
    "parameters": numbers.magnitude,
    "time": numbers.duration,
    "status": str,
  }
  rows = [
    [names[run.workdir], reading.final(run)[0], *_numbers(run)]
    + [*_settings(run, keys)]
    + [run.result.get(key) for key in ("step", "parameters", "seconds")]
    + [run_page.status(run)]
    for run in ranked
  ]
  links = [_link(run, path) for run in ranked]
  table = html.table(columns, rows, links=links, sortable=True)
  return f'<div class="card">{table}</div>'


def _numbers(run: Run) -> list[float | None]:
  _, metrics = reading.final(run)
  names = ("top1", "loss", "f1_macro", "calibration_error")
  return [metrics.get(name) for name in names]


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
    "mean": numbers.percent,
    "spread": numbers.percent,
    "runs": numbers.integer,
    "each": str,
  }
  rows = [
    [*group.settings, *_statistics(group), len(group.members), _each(group)]
    for group in groups
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def _each(group: Group) -> str:
  return ", ".join(numbers.percent(accuracy(run)) for run in group.members)


def _curves(
  groups: list[Group], names: dict[pathlib.Path, str], keys: list[str]
) -> str:
  charts = "".join(
    _chart(groups, metric, title=title, label=label)
    for metric, title, label in (
      ("validation/top1", "Validation accuracy", "top-1 accuracy (%)"),
      ("validation/loss", "Validation loss", "validation loss (nats)"),
      ("train/loss", "Training loss", "training loss (nats)"),
      ("learning_rate", "Learning rate", "learning rate"),
    )
  )
  if not charts:
    return ""
  entries = [
    (_label(group, names, keys), *_style(index))
    for index, group in enumerate(groups)
  ]
  return f'<p>{html.legend(entries)}</p><div class="charts">{charts}</div>'


def _label(
  group: Group, names: dict[pathlib.Path, str], keys: list[str]
) -> str:
  if len(group.members) == 1:
    return names[group.members[0].workdir]
  shown = [key for key in keys if key != "seed"]
  pairs = zip(shown, group.settings, strict=True)
  settings = ", ".join(f"{key}={value}" for key, value in pairs)
  return f"{settings or 'all'} ({len(group.members)} seeds)"


def _style(index: int) -> tuple[str, str]:
  dash = _DASHES[index // _COLOURS % len(_DASHES)]
  return f"series-{index % _COLOURS}", dash


def _chart(groups: list[Group], metric: str, *, title: str, label: str) -> str:
  curves = []
  for index, group in enumerate(groups):
    for run in group.members:
      steps, values = reading.series(run, metric)
      scale = 100 if metric.endswith("top1") else 1
      if steps.size:
        curves.append(figures.Curve(steps, scale * values, *_style(index)))
  if not curves:
    return ""
  loss = metric.endswith("loss")
  chart = figures.line_chart(curves, label=label, positive=loss)
  return html.figure(chart, title=title)
