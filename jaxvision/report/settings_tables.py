"""Tables of the settings of a sweep: results over seeds, and significance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.report import html, measures, numbers, significance
from jaxvision.runs import reading
from jaxvision.runs.sweep_folder import SEED, Setting, Trial

_COMPARED = 8  # settings in the table of pairs
_SHOWN = 20  # settings in the table
NOTE = (
  "A setting is the trials that differ in the seed only; best mean first. The "
  "interval is the 95 % confidence interval of the mean (Student's t). The "
  "mean of the best of many settings is too optimistic."
)
PAIRS_NOTE = (
  "p-values of equal means of two settings (paired test for equal seeds, "
  "otherwise Welch's test), corrected for the number of pairs (Holm). A value "
  "below 0.05 is a significant difference."
)


def results(settings: Sequence[Setting], *, keys: Sequence[str]) -> str:
  """A table with the mean and the interval of each setting, best first.

  Args:
    settings: best mean first.
    keys: the keys that differ between trials.
  """
  if not settings:
    return ""
  keys = [key for key in keys if key != SEED]
  columns = {
    **dict.fromkeys(keys, written),
    "mean": numbers.significant,
    "± 95 %": numbers.significant,
    "least": numbers.significant,
    "most": numbers.significant,
    "test": numbers.significant,
    "seeds": numbers.integer,
  }
  rows = [
    [
      *(each.settings.get(key, numbers.NOTHING) for key in keys),
      each.values.mean(),
      significance.interval(each.values),
      each.values.min(),
      each.values.max(),
      final(each.trials),
      len(each.trials),
    ]
    for each in settings[:_SHOWN]
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def final(of: Sequence[Trial]) -> float | None:
  """The mean of the main metric of the final evaluations."""
  finals = [
    reading.final(trial.run)[1].get(measures.main_of(trial.run))
    for trial in of
    if trial.run
  ]
  finals = [value for value in finals if numbers.is_number(value)]
  return float(np.mean(finals)) if finals else None


def pairs(settings: Sequence[Setting]) -> str:
  """A table of p-values; "" for fewer than two settings with seeds."""
  compared = [each for each in settings if len(each.trials) > 1][:_COMPARED]
  if len(compared) < 2:
    return ""
  table = significance.pairwise([_by_seed(each) for each in compared])
  names = [name(each) for each in compared]
  columns = {"": str, **{str(i): _p for i in range(1, len(compared) + 1)}}
  rows = [
    [f"{i}. {label}", *(None if np.isnan(p) else p for p in row)]
    for i, (label, row) in enumerate(zip(names, table, strict=True), 1)
  ]
  return f'<div class="card">{html.table(columns, rows)}</div>'


def name(setting: Setting) -> str:
  """A name of a setting: "learning_rate=0.1, width=8"."""
  return text(setting.settings) or "all"


def text(settings: Mapping[str, Any]) -> str:
  """Settings on one line: "learning_rate=0.1, seed=3"."""
  return ", ".join(
    f"{key.split('.')[-1]}={written(value)}" for key, value in settings.items()
  )


def written(value: Any) -> str:
  """A value of a setting as text."""
  return f"{value:.4g}" if isinstance(value, float) else str(value)


def _by_seed(setting: Setting) -> dict[int, float]:
  return {
    trial.overrides.get(SEED, trial.number): trial.value
    for trial in setting.trials
  }


def _p(value: float | None) -> str:
  return numbers.NOTHING if value is None else f"{value:.2g}"
