"""Durations: text with a unit in a config, converted to steps.

"500 steps", "10 epochs", "1e6 examples", "5 percent" or "500". Conversions are
exact and rounded once. Standard library only.
"""

import dataclasses
import fractions
import functools
import logging
import re
from collections.abc import Callable, Sequence
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
# The largest number of any unit. A larger one is a typing error, and an
# exponent of thousands would take too long to compute.
_LARGEST = 1e15
# Defaults for an empty log.every: the maximum number of steps between two
# lines, the minimum number of lines of a run, the minimum number of lines of
# its warm-up, and the maximum number of lines that the warm-up may cause.
_LOG_STEPS, _LOG_LINES, _LOG_WARMUP, _MOST_LOG_LINES = 50, 50, 5, 1000
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Durations:
  """The durations of a config in steps.

  `schedule` is the length of the learning-rate schedule; 0 means the length of
  the training. `average_start` and `average_every` are the times of the equal
  average, and `statistics` is the number of batches for its batch statistics;
  all are 0 without this average. `image_sizes` is the first step of each size
  of the training images, and the size.
  """

  total: int
  warmup: int
  evaluate: int
  checkpoint: int
  log: int
  schedule: int = 0
  average_start: int = 0
  average_every: int = 0
  statistics: int = 0
  image_sizes: tuple[tuple[int, int], ...] = ()


def convert(config: Any, *, num_examples: int) -> Durations:
  """Converts all durations of a config; see `steps`.

  Args:
    config: of the run.
    num_examples: number of examples in an epoch.

  Raises:
    ValueError: the training has less than one step, fewer steps than one call
      of the compiled step takes, or more steps than can be counted; or the
      equal average or a size of the images begins outside of the training.
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
    **_average(config, functools.partial(to_steps, total_steps=total), total),
    image_sizes=_image_sizes(
      config.train.image_sizes,
      functools.partial(to_steps, total_steps=total),
      total,
    ),
  )


def _average(
  config: Any, to_steps: Callable[[str], int], total: int
) -> dict[str, int]:
  """The durations of the equal average; {} without it."""
  ema = config.ema
  if not ema.start:
    return {}
  start, every = to_steps(ema.start), to_steps(ema.every)
  if not 1 <= start <= total:
    raise ValueError(
      f"ema.start {ema.start!r} is step {start} of {total}; the equal average "
      'begins after at least 1 step and before the end, as in "75 percent"; "" '
      "turns it off"
    )
  if not every:
    raise ValueError(
      f"ema.every {ema.every!r} is 0 steps; give at least '1 steps'"
    )
  return {
    "average_start": start,
    "average_every": every,
    "statistics": to_steps(ema.statistics),
  }


def _image_sizes(
  sizes: Sequence[Sequence[Any]], to_steps: Callable[[str], int], total: int
) -> tuple[tuple[int, int], ...]:
  """The first step of each size, from 0, and the size."""
  found = [(to_steps(start), int(side)) for start, side in sizes]
  starts = [start for start, _ in found]
  if starts != sorted(set(starts)) or any(each >= total for each in starts):
    raise ValueError(
      f"train.image_sizes {sizes!r} begin at the steps {starts} of {total}; "
      "each must begin after the one before it, and before the end"
    )
  return tuple(found)


def _log_every(
  text: str, every: Callable[[str], int], total: int, warmup: int
) -> int:
  """Steps between two log lines; "" chooses them by the length of the run."""
  if text:
    return every(text) or total
  apart = min(_LOG_STEPS, total // _LOG_LINES)
  if warmup:
    # Enough lines during the warm-up, but not thousands in the rest of the run.
    apart = min(apart, max(warmup // _LOG_WARMUP, total // _MOST_LOG_LINES))
  return max(apart, 1)


def _total(config: Any, requested: int, block: int) -> int:
  """The steps of the run: the requested steps, rounded up to complete calls."""
  duration = config.train.duration
  if requested < 1:
    raise ValueError(
      f"train.duration {duration!r} is less than a step; give at least "
      '"1 steps"'
    )
  if block > requested:
    raise ValueError(
      f"train.steps_per_dispatch is {block}, but train.duration {duration!r} "
      f"is {requested} steps; give at most {requested} steps a call"
    )
  total = _multiple(requested, block)
  if total > MOST_STEPS:
    raise ValueError(
      f"train.duration {duration!r} is {total} steps; at most {MOST_STEPS} are "
      "counted"
    )
  if total > requested:
    _LOGGER.warning(
      "train.duration %r is %d steps; %d are taken, a multiple of "
      "train.steps_per_dispatch %d",
      duration,
      requested,
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
  """Converts a duration to steps.

  Args:
    duration: "500 steps", "10 epochs", "1e6 examples", "5 percent" or "500".
    batch_size: number of examples in a step.
    num_examples: number of examples in an epoch.
    total_steps: 100 percent in steps; None if percentages are not allowed.
    multiple_of: the result is rounded up to a multiple of this number.

  Raises:
    ValueError: the text is not a duration, or is in percent without a total.
  """
  number, unit = parse(duration)
  if unit == "percent" and total_steps is None:
    raise ValueError(
      f"duration {duration!r}: the length of the run cannot be a percentage of "
      "the run; use steps, epochs or examples"
    )
  examples_in = {"epochs": num_examples, "examples": 1}
  if unit == "steps":
    exact = number
  elif unit == "percent":
    exact = number / 100 * total_steps
  else:
    exact = number * examples_in[unit] / batch_size
  # A duration above 0 has at least one step; "0 epochs" has 0 steps.
  return _multiple(max(round(exact), 1 if exact > 0 else 0), multiple_of)


def parse(duration: str) -> tuple[fractions.Fraction, str]:
  """Returns the number and the unit of a duration.

  Raises:
    ValueError: the text is not a duration, or the duration is too long.
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
