"""The experiment trackers of a run, from the keys of the group "log"."""

from collections.abc import Callable
from typing import Any

from jaxvision import lookup
from jaxvision.config import ConfigDict
from jaxvision.runs import trackers


def _tensorboard() -> None:
  """Stands for the event files, which `runs.metrics_log` writes itself."""


_FUNCTIONS: dict[str, Callable[..., Any]] = {
  **trackers.TRACKERS,
  "tensorboard": _tensorboard,
}


def make(config: ConfigDict) -> dict[str, trackers.Open]:
  """Makes the trackers of log.trackers, by their names; no run is opened.

  The name is the call as the config has it. A call that is given twice is one
  tracker. "tensorboard" is none of them: see `writes_events`.

  Raises:
    ValueError: a tracker or an option is unknown, its package is not installed,
      or the user's own function does not return a function.
  """
  made = {}
  for call in config.log.trackers:
    open_run = lookup.call(call, functions=_FUNCTIONS, kind="tracker")
    if name_of(call) == "tensorboard":
      continue
    if not callable(open_run):
      raise ValueError(
        f"tracker {lookup.as_written(call)!r} returned {open_run!r}; expected "
        "a function that opens a run: see docs/trackers.md"
      )
    made[name_of(call)] = open_run
  return made


def writes_events(config: ConfigDict) -> bool:
  """Whether log.trackers names "tensorboard"."""
  return "tensorboard" in map(name_of, config.log.trackers)


def name_of(call: str) -> str:
  """The name of a tracker: its call as written, "wandb" for "wandb()"."""
  return lookup.as_written(call).strip().removesuffix("()")
