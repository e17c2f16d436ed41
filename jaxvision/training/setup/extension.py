"""The extension of a run to a longer duration.

Steps that are already taken do not change. The learning rate schedule is either
"stretch" or "constant". "stretch" uses the schedule of a run of the new
duration, so the rate jumps at the step where the run is extended. "constant"
keeps the old schedule, and after its end the rate of its last step.

An equal average and the sizes of the images keep their times: those in percent
refer to the old duration.
"""

import functools
import logging
import pathlib
from typing import Any

from ml_collections import config_dict

from jaxvision import checkpoint, files, lookup, user_code
from jaxvision.config import durations
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import from_config

Config = config_dict.FrozenConfigDict

SCHEDULES = ("stretch", "constant")
_LOGGER = logging.getLogger(__name__)


def extend(
  config: Config,
  duration: str,
  *,
  schedule: str,
  workdir: str | pathlib.Path,
  num_examples: int,
) -> tuple[Config, dict[str, Any] | None]:
  """The config of an extended run.

  Args:
    config: of the run.
    duration: the new total duration, in the form of train.duration. "" does not
      extend the run.
    schedule: one of `SCHEDULES`; "" means "stretch".
    workdir: the run's folder.
    num_examples: examples in an epoch.

  Returns:
    The config, and the fields to add to config.json. They are None if the run
    already has this duration, because the command is repeated.

  Raises:
    ValueError: the duration is shorter than that of the run, or invalid.
  """
  if not duration:
    return config, None
  if schedule not in ("", *SCHEDULES):
    raise ValueError(lookup.unknown("--extend-schedule", schedule, SCHEDULES))
  if workdirs.read_config(workdir)["overfit"]:
    raise ValueError(
      f"{files.printable(workdir)} is an --overfit run, which cannot be "
      "extended; train without --overfit"
    )
  convert = functools.partial(durations.convert, num_examples=num_examples)
  try:
    old = convert(config)
    longer = _longer(config, duration, schedule or SCHEDULES[0], old)
    new = convert(longer)
  except ValueError as error:
    raise ValueError(f"--extend {duration!r}: {error}") from error
  if new.total < old.total:
    raise ValueError(
      f"--extend {duration!r} is {new.total} steps in all, but "
      f"{files.printable(workdir)} lasts {config.train.duration!r}, "
      f"{old.total} steps, already; give the total duration from the first step"
    )
  if new.total == old.total:
    _check_repeated(config, schedule)
    return config, None
  _log_extension(config, longer, old, new, workdir, schedule or SCHEDULES[0])
  note = {
    "from_steps": old.total,
    "to_steps": new.total,
    "schedule": schedule or SCHEDULES[0],
  }
  return longer, {"extended": note}


def _longer(
  config: Config, duration: str, schedule: str, old: durations.Durations
) -> Config:
  values = config.to_dict()
  times = {"start": old.average_start, "every": old.average_every}
  for key, steps in times.items():
    if steps:
      values["ema"][key] = _fixed(values["ema"][key], steps)
  stays = values["schedule"]["duration"] or values["train"]["duration"]
  pairs = zip(values["train"]["image_sizes"], old.image_sizes, strict=True)
  values["train"]["image_sizes"] = tuple(
    (_fixed(start, step), side) for (start, side), (step, _) in pairs
  )
  values["schedule"]["duration"] = stays if schedule == "constant" else ""
  values["train"]["duration"] = duration
  return Config(values)


def _fixed(duration: str, steps: int) -> str:
  """A duration in percent as the steps that it was; others are unchanged."""
  in_percent = durations.parse(duration)[1] == "percent"
  return f"{steps} steps" if in_percent else duration


def _check_repeated(config: Config, schedule: str) -> None:
  """Raises ValueError unless a repeated extension has the same schedule."""
  now = "constant" if config.schedule.duration else "stretch"
  if schedule not in ("", now):
    raise ValueError(
      f"the run lasts {config.train.duration!r} already, with "
      f"--extend-schedule {now}; {schedule} can be chosen when it is extended "
      "further"
    )


def _log_extension(
  config: Config,
  longer: Config,
  old: durations.Durations,
  new: durations.Durations,
  workdir: str | pathlib.Path,
  schedule: str,
) -> None:
  """Logs the old and the new duration, and the change of the learning rate."""
  step = min(checkpoint.newest(workdir) or 0, old.total)
  rates = [
    from_config.make_schedule(each, steps)
    for each, steps in ((config, old), (longer, new))
  ]
  before, after = float(rates[0](max(step - 1, 0))), float(rates[1](step))
  kept = float(rates[0](old.total - 1))
  effects = {
    "stretch": f"stretched over {new.total} steps. With --extend-schedule "
    f"constant it would end as planned, and then stay at {kept:.4g}",
    "constant": f"as planned until step {old.total}, and then constant at "
    f"{kept:.4g}. With --extend-schedule stretch it would be that of a run of "
    f"{new.total} steps",
  }
  _LOGGER.info(
    "%s is extended from %d steps to %d (%s)",
    files.printable(workdir),
    old.total,
    new.total,
    longer.train.duration,
  )
  _LOGGER.info(
    "the schedule %s is %s. %s",
    user_code.as_written(config.schedule.name),
    effects[schedule],
    f"The learning rate was {before:.4g} in step {step}, and is {after:.4g} in "
    "the next"
    if step
    else f"The learning rate begins at {after:.4g}",
  )
