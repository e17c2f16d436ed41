"""Durations: text with a unit in a config, whole steps in the loop.

"500 steps", "10 epochs", "1e6 examples", "5 percent" or "500". Conversions are
exact, and rounded once. Standard library only.
"""

import dataclasses
import fractions
import functools
import logging
import re
from collections.abc import Callable
from typing import Any

# A run counts its steps in int32.
MOST_STEPS = 2**31 - 1

_NUMBER = r"(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:e\d+)?"
_DURATION = re.compile(rf"\s*({_NUMBER})\s*([a-z]*|%)\s*", re.ASCII)
_UNITS = {
  "": "steps",
  "step": "steps",
  "steps": "steps",
  "epoch": "epochs",
  "epochs": "epochs",
  "example": "examples",
  "examples": "examples",
  "percent": "percent",
  "%": "percent",
}
# Of any unit; more is a slip, and an exponent of thousands never ends.
_LARGEST = 1e15
# Where log.every is not said: at most so many steps from line to line, at least
# so many lines of a run, so many of its warm-up, for which there may be more.
_LOG_STEPS, _LOG_LINES, _LOG_WARMUP, _MOST_LOG_LINES = 50, 50, 5, 1000
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Durations:
  """The durations of a config in steps.

  `schedule` is that of the learning rate; 0 is as long as the training.
  """

  total: int
  warmup: int
  evaluate: int
  checkpoint: int
  log: int
  schedule: int = 0


def convert(config: Any, *, num_examples: int) -> Durations:
  """Converts all durations of a config once; see `steps`.

  Args:
    config: of the run.
    num_examples: in an epoch.

  Raises:
    ValueError: the training takes no step at all, fewer than a call of the
      compiled step, or more than can be counted.
  """
  to_steps = functools.partial(
    steps, batch_size=config.train.batch_size, num_examples=num_examples
  )
  block = config.train.steps_per_dispatch
  total = _total(config, to_steps(config.train.duration), block)
  every = functools.partial(to_steps, total_steps=total, multiple_of=block)
  schedule = config.schedule.duration
  schedule = to_steps(schedule, multiple_of=block) if schedule else 0
  warmup = to_steps(config.schedule.warmup, total_steps=schedule or total)
  return Durations(
    total=total,
    warmup=warmup,
    schedule=schedule,
    evaluate=every(config.evaluate.every) or total,
    checkpoint=every(config.checkpoint.every) or total,
    log=_log_every(config.log.every, every, total, warmup),
  )


def _log_every(
  text: str, every: Callable[[str], int], total: int, warmup: int
) -> int:
  """Steps between two lines of the log; "" shows a run of any length."""
  if text:
    return every(text) or total
  apart = min(_LOG_STEPS, total // _LOG_LINES)
  if warmup:
    # A few lines of it, but not thousands of the rest.
    apart = min(apart, max(warmup // _LOG_WARMUP, total // _MOST_LOG_LINES))
  return max(apart, 1)


def _total(config: Any, asked: int, block: int) -> int:
  """The steps of the run: what is asked for, in whole calls."""
  duration = config.train.duration
  if asked < 1:
    raise ValueError(
      f'train.duration {duration!r} is no step at all; give at least "1 steps"'
    )
  if block > asked:
    raise ValueError(
      f"train.steps_per_dispatch is {block}, but train.duration {duration!r} "
      f"is {asked} steps; give at most {asked} steps a call"
    )
  total = _multiple(asked, block)
  if total > MOST_STEPS:
    raise ValueError(
      f"train.duration {duration!r} is {total} steps; at most {MOST_STEPS} are "
      "counted"
    )
  if total > asked:
    _LOGGER.warning(
      "train.duration %r is %d steps; %d are taken, a multiple of "
      "train.steps_per_dispatch %d",
      duration,
      asked,
      total,
      block,
    )
  return total


def steps(
  duration: str,
  *,
  batch_size: int,
  num_examples: int,
  total_steps: int | None = None,
  multiple_of: int = 1,
) -> int:
  """A duration in whole steps.

  Args:
    duration: "500 steps", "10 epochs", "1e6 examples", "5 percent" or "500".
    batch_size: examples in a step.
    num_examples: examples in an epoch.
    total_steps: what percentages are of; None where they make no sense.
    multiple_of: the result is rounded up to a multiple of it.

  Raises:
    ValueError: not a duration, or percent where there is no total.
  """
  number, unit = parse(duration)
  if unit == "percent" and total_steps is None:
    raise ValueError(
      f"duration {duration!r}: percent of the run cannot say how long the run "
      "itself is; use steps, epochs or examples"
    )
  examples_in = {"epochs": num_examples, "examples": 1}
  if unit == "steps":
    exact = number
  elif unit == "percent":
    exact = number / 100 * total_steps
  else:
    exact = number * examples_in[unit] / batch_size
  # Something that lasts at all lasts a step; "0 epochs" stays nothing.
  return _multiple(max(round(exact), 1 if exact > 0 else 0), multiple_of)


def parse(duration: str) -> tuple[fractions.Fraction, str]:
  """Returns the number and the unit of a duration.

  Raises:
    ValueError: the text is no duration, or too long for any run.
  """
  match = _DURATION.fullmatch(duration)
  if match is None or match.group(2) not in _UNITS:
    raise ValueError(
      f"{duration!r} is not a duration; write a number and steps, epochs, "
      'examples or percent: "500 steps", "2.5 epochs"'
    )
  if not float(match.group(1)) <= _LARGEST:
    raise ValueError(
      f"{duration!r} is longer than any run; write at most {_LARGEST:.0e}"
    )
  return fractions.Fraction(match.group(1)), _UNITS[match.group(2)]


def _multiple(count: int, of: int) -> int:
  return -(-count // of) * of
