"""Tables of the settings of a sweep: results over seeds and folds, p-values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.report import html, measures, numbers, significance
from jaxvision.runs import reading
from jaxvision.runs.sweep_folder import FOLD, SEED, Setting, Trial

_COMPARED = 8  # settings in the table of pairs
_SHOWN = 20  # settings in the table
_MEANING = (
  "95 % is the confidence interval of the mean (Student's t), without the part "
  "outside the range of the metric. The mean of the best of many settings is "
  "too optimistic."
)
_NOTE = (
  "A setting is the trials that differ in the seed only; best mean first. "
  + _MEANING
)
_FOLDED_NOTE = (
  "A setting is the trials that differ in the fold and the seed only; best "
  "mean over the folds first. A setting without a result of each fold is last. "
  + _MEANING
)
FOLDS_NOTE = (
  "The value of a fold is that of the network that was not trained on it, and "
  "the mean over the seeds. std is the sample standard deviation over the "
  "folds (n - 1), 95 % is Student's confidence interval of the mean. "
  "The networks of two folds share most of their training images, so the "
  "interval is too narrow (Bengio and Grandvalet 2004). out of fold is the "
  "mean over all examples: the folds, weighted by their numbers of examples. "
  "It equals the metric of all out-of-fold predictions if the metric is a mean "
  "over examples, such as top1 and loss."
)
PAIRS_NOTE = (
  "p-values of equal means of two settings (paired test for equal seeds or "
  "folds, otherwise Welch's test), corrected for the number of pairs (Holm). A "
  "value below 0.05 is a significant difference."
)


def results(
  settings: Sequence[Setting], *, keys: Sequence[str], metric: str
) -> str:
  """A table with the mean and the interval of each setting, best first.

  Args:
    settings: best mean first.
    keys: the keys that differ between trials.
    metric: the objective.
  """
  if not settings:
    return ""
  keys = _of_settings(keys, settings)
  folded = has_folds(settings)
  columns = {
    **dict.fromkeys(keys, written),
    "mean": numbers.writer(metric),
    "95 %": str,
    "least": numbers.writer(metric),
    "most": numbers.writer(metric),
    "test": numbers.writer(final_metric(settings[0].trials)),
    **({"folds": str, "runs": numbers.integer} if folded else {}),
    **({} if folded else {"seeds": numbers.integer}),
  }
  rows = [
    [
      *(each.settings.get(key, numbers.NOTHING) for key in keys),
      each.mean,
      interval(each, metric),
      each.values.min(),
      each.values.max(),
      final(each.trials),
      *([f"{len(each.by_fold)} of {len(each.folds)}"] if folded else []),
      len(each.trials),
    ]
    for each in settings[:_SHOWN]
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def note(settings: Sequence[Setting]) -> str:
  """The note below the table of the results."""
  return _FOLDED_NOTE if has_folds(settings) else _NOTE


def has_folds(settings: Sequence[Setting]) -> bool:
  """Whether some settings are repeated over folds."""
  return any(each.folds for each in settings)


def folds(
  settings: Sequence[Setting], *, keys: Sequence[str], metric: str
) -> str:
  """A table with the value of each fold of each setting; "" without folds.

  Args:
    settings: best mean first.
    keys: the keys that differ between trials.
    metric: the objective; it has an out-of-fold value if it is one of the
      validation split.
  """
  shown = [each for each in settings if each.folds][:_SHOWN]
  if not shown:
    return ""
  keys = _of_settings(keys, settings)
  validated = metric.startswith("validation")
  every = sorted({fold for each in shown for fold in each.folds})
  columns = {
    **dict.fromkeys(keys, written),
    **{f"fold {fold}": numbers.writer(metric) for fold in every},
    "mean": numbers.writer(metric),
    "std": numbers.writer(metric),
    "95 %": str,
    "out of fold": numbers.writer(metric),
  }
  rows = [
    [
      *(each.settings.get(key, numbers.NOTHING) for key in keys),
      *(each.by_fold.get(fold) for fold in every),
      each.mean,
      each.repetitions.std(ddof=1) if len(each.by_fold) > 1 else None,
      interval(each, metric),
      out_of_fold(each) if validated else None,
    ]
    for each in shown
  ]
  return f'<div class="card">{html.table(columns, rows, sortable=True)}</div>'


def interval(setting: Setting, metric: str) -> str:
  """The 95 % confidence interval of the mean, as "[90.00%, 94.00%]"."""
  ends = significance.bounds(setting.repetitions, numbers.limits(metric))
  if np.isnan(ends[0]):
    return numbers.NOTHING
  low, high = (numbers.metric(metric, end) for end in ends)
  return f"[{low}, {high}]"


def in_words(setting: Setting, metric: str) -> str:
  """The mean, its interval and the number of seeds or folds, as text."""
  mean = numbers.metric(metric, setting.mean)
  count, what = len(setting.repetitions), "fold" if setting.folds else "seed"
  over = f", 95 % {interval(setting, metric)}, {count} {what}s"
  return f"mean {metric} {mean}{over if count > 1 else f', one {what}'}"


def out_of_fold(setting: Setting) -> float | None:
  """The mean of the objective over all examples, each in its own fold.

  None if a fold has no result, or if the size of a fold is not known.
  """
  sizes = {
    trial.overrides[FOLD]: of_run["validation"]["num_examples"]
    for trial in setting.trials
    if trial.run and "validation" in (of_run := reading.splits(trial.run))
  }
  values = setting.by_fold
  if not setting.is_whole or set(sizes) != set(values):
    return None
  weights = [sizes[fold] for fold in values]
  return float(np.average([*values.values()], weights=weights))


def _of_settings(keys: Sequence[str], settings: Sequence[Setting]) -> list[str]:
  """The keys that some setting has: not those of seeds and folds."""
  return [key for key in keys if any(key in each.settings for each in settings)]


def final_metric(of: Sequence[Trial]) -> str:
  """The main metric of the final evaluations; that of the first run."""
  runs = [trial.run for trial in of if trial.run]
  return measures.main_of(runs[0]) if runs else ""


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
  """A table of p-values; "" for fewer than two repeated settings."""
  compared = [each for each in settings if len(each.repetitions) > 1]
  compared = compared[:_COMPARED]
  if len(compared) < 2:
    return ""
  table = significance.pairwise([_repetitions(each) for each in compared])
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


def _repetitions(setting: Setting) -> dict[int, float]:
  """The values by fold; without folds by seed."""
  if setting.folds:
    return setting.by_fold
  return {
    trial.overrides.get(SEED, trial.number): trial.value
    for trial in setting.trials
  }


def _p(value: float | None) -> str:
  return numbers.NOTHING if value is None else f"{value:.2g}"
