"""The arms of a sweep, each at its own best learning rate.

The rate of an arm is the one with the best mean validation accuracy over the
seeds. Arms are compared by their test accuracies, which were not used for this
choice, in pairs of equal seeds.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RATE = "optimizer.learning_rate"
# A trial that has diverged counts as chance.
_CHANCE = 0.1


@dataclasses.dataclass(frozen=True)
class Arm:
  """An arm at one rate.

  Attributes:
    name: of the arm.
    rate: its learning rate; 0 if the sweep does not change it.
    validation, test: (seeds,) accuracies after the last step, in percent.
    trials: by seed, as from `jaxvision.report.read_sweep`.
  """

  name: Any
  rate: float
  validation: np.ndarray
  test: np.ndarray
  trials: Sequence[Any]


def read(workdir: pathlib.Path, *keys: str, seed: str = "seed") -> list[Arm]:
  """Returns the arms of a finished sweep at all rates.

  Args:
    workdir: of the sweep.
    *keys: the settings that make the name of an arm; with several the name is a
      tuple.
    seed: the setting that pairs the trials.

  Raises:
    ValueError: a trial has not ended.
  """
  from jaxvision import report

  found: dict[tuple[Any, float], dict[int, Any]] = {}
  for trial in report.read_sweep(workdir).trials:
    if trial.state not in ("complete", "failed"):
      raise ValueError(
        f"{workdir}: trial {trial.number} is {trial.state}; finish the sweep"
      )
    settings = trial.settings
    name = tuple(_hashable(settings[key]) for key in keys)
    place = name[0] if len(keys) == 1 else name, settings.get(RATE, 0.0)
    found.setdefault(place, {})[settings[seed]] = trial
  return [
    Arm(
      name,
      rate,
      *(100 * np.transpose([_accuracies(seeds[k]) for k in sorted(seeds)])),
      [seeds[k] for k in sorted(seeds)],
    )
    for (name, rate), seeds in found.items()
  ]


def _hashable(value: Any) -> Any:
  """A tuple for a list: JSON has no tuples."""
  return tuple(value) if isinstance(value, list) else value


def _accuracies(trial: Any) -> tuple[float, float]:
  if trial.state == "failed":
    return _CHANCE, _CHANCE
  return trial.value, trial.run.result["final"]["metrics"]["top1"]


def best(arms: Sequence[Arm]) -> dict[Any, Arm]:
  """Returns {name: the arm at its best rate}."""
  chosen: dict[Any, Arm] = {}
  for arm in arms:
    before = chosen.get(arm.name)
    if before is None or arm.validation.mean() > before.validation.mean():
      chosen[arm.name] = arm
  return chosen


@dataclasses.dataclass(frozen=True)
class Difference:
  """The test accuracy of one arm minus that of another one, in points.

  Attributes:
    mean: over the seeds.
    half: half-width of its 95 % interval (Student's t).
    p: of the two-sided test, corrected by Holm over its group.
  """

  mean: float
  half: float
  p: float

  def __str__(self) -> str:
    return f"{self.mean:+.2f} \u00b1 {self.half:.2f}"

  @property
  def is_positive(self) -> bool:
    """Whether the first arm is better, with a corrected p below 0.05."""
    return self.mean > 0 and self.p < 0.05

  @property
  def is_negative(self) -> bool:
    """Whether the second arm is better, with a corrected p below 0.05."""
    return self.mean < 0 and self.p < 0.05


def compare(
  pairs: Mapping[Any, tuple[Sequence[float], Sequence[float]]],
) -> dict[Any, Difference]:
  """Returns {key: the difference of a pair}, corrected over all pairs.

  Args:
    pairs: {key: (values of the first by seed, values of the second)}.
  """
  from scipy import stats

  from jaxvision.report import interval, significance

  differences = {k: np.subtract(a, b) for k, (a, b) in pairs.items()}
  values = []
  for each in differences.values():
    if np.ptp(each) == 0:  # equal in all seeds: no spread to test with
      values.append(1.0 if each[0] == 0 else 0.0)
    else:
      values.append(float(stats.ttest_1samp(each, 0.0).pvalue))
  return {
    key: Difference(float(each.mean()), interval(each), p)
    for (key, each), p in zip(
      differences.items(), significance.holm(values), strict=True
    )
  }


def draw_rates(axes: Any, arms: Sequence[Arm]) -> None:
  """Draws the test error by learning rate, with a line for each arm."""
  chosen = best(arms)
  for i, (name, at_best) in enumerate(chosen.items()):
    own = sorted((a for a in arms if a.name == name), key=lambda a: a.rate)
    label = name if isinstance(name, str) else ", ".join(map(str, name))
    errors = [100 - arm.test.mean() for arm in own]
    axes.plot([a.rate for a in own], errors, ".-", color=f"C{i}", label=label)
    axes.plot(at_best.rate, 100 - at_best.test.mean(), "o", color=f"C{i}")
  axes.set(
    xscale="log", yscale="log", xlabel="learning rate", ylabel="test error, %"
  )
  axes.legend(fontsize=6)
