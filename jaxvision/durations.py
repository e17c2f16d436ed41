"""The durations of a run in steps, of which alone the loop knows."""

import dataclasses
import functools

from jaxvision import config as configs


@dataclasses.dataclass(frozen=True)
class Durations:
  """The durations of a config in steps."""

  total: int
  warmup: int
  evaluate: int
  checkpoint: int
  log: int


def convert(config: configs.ConfigDict, *, num_examples: int) -> Durations:
  """Converts all durations of a config once; see `config.steps`.

  Args:
    config: of the run.
    num_examples: in an epoch.

  Raises:
    ValueError: the training takes no step at all.
  """
  to_steps = functools.partial(
    configs.steps,
    batch_size=config.train.batch_size,
    num_examples=num_examples,
  )
  block = config.train.steps_per_dispatch
  total = to_steps(config.train.duration, multiple_of=block)
  if total < 1:
    raise ValueError(
      f"train.duration {config.train.duration!r} is no step at all; give at "
      'least "1 steps"'
    )
  every = functools.partial(to_steps, total_steps=total, multiple_of=block)
  return Durations(
    total=total,
    warmup=to_steps(config.schedule.warmup, total_steps=total),
    evaluate=every(config.evaluate.every) or total,
    checkpoint=every(config.checkpoint.every) or total,
    log=every(config.log.every) or total,
  )
