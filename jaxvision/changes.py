"""What may change when a run goes on, and what is said of the rest.

Keys of the machine, of the log, of evaluations and of checkpoints do not change
what is trained. A run goes on with other values of them, and config.json keeps
what they were, in its "history". All others make another run.
"""

import datetime
import pathlib
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from jaxvision import analysis
from jaxvision import config as configs

Path = pathlib.Path
Change = tuple[str, Any, Any]  # key, value before, value now

# Keys, and groups of keys, that change nothing of what is trained.
FREE = (
  "checkpoint",
  "data.data_dir",
  "data.max_pixels",
  "data.max_unreadable",
  "data.placement",
  "data.threads",
  "data.workers",
  "evaluate",
  "log",
  "mesh",
  "train.remat",
)
# What an extension changes.
EXTENDED = ("train.duration", "schedule.duration")


def is_free(key: str) -> bool:
  """Whether a key changes nothing of what is trained."""
  return any(key == each or key.startswith(f"{each}.") for each in FREE)


def find(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[Change]:
  """The keys in which the config of a folder differs from another one.

  Args:
    there: as config.json has it; keys that are younger have their defaults.
    here: nested, all keys.
  """
  every = analysis.compare_configs({}, configs.complete({}))
  defaults = {key: value for key, _, value in every}
  changes = [
    (key, defaults.get(key, old) if old == analysis.ABSENT else old, new)
    for key, old, new in analysis.compare_configs(there, here)
  ]
  return [each for each in changes if each[1] != each[2]]


def refuse(
  workdir: Path,
  changes: Iterable[Change],
  *,
  recipe: str,
  overrides: Mapping[str, Any],
) -> None:
  """Raises a ValueError that shows the changes and what to do.

  Args:
    workdir: of the run.
    changes: none of which is free.
    recipe, overrides: of the config that was asked for.
  """
  changes = list(changes)
  listed = "\n".join(
    f"  {key}: {old!r} there, {new!r} here" for key, old, new in changes
  )
  remedies = ["Give this run its own --workdir, or change the config back."]
  keys, longer = {key for key, _, _ in changes}, ""
  if keys <= {*EXTENDED}:
    going_on = shlex.join(["jaxvision", "train", "--workdir", str(workdir)])
    longer += (
      f"\nTo go on with this run as it is: {going_on}"
      f"\nFor longer: {going_on} --extend 'DURATION'"
    )
  if recipe and not keys & {"model.name", "--overfit"}:
    remedies.append(
      "A new run that starts from these weights: "
      + _new_run(workdir, recipe, overrides)
    )
  raise ValueError(
    f"{workdir} belongs to a run of another config:\n{listed}\n"
    + " ".join(remedies)
    + longer
  )


def _new_run(workdir: Path, recipe: str, overrides: Mapping[str, Any]) -> str:
  name, number = Path(workdir), 2
  while (new := name.with_name(f"{name.name}_{number}")).exists():
    number += 1
  values = {**overrides, "model.weights": str(workdir)}
  words = ["jaxvision", "train", "--config", recipe, "--workdir", str(new)]
  words += [f"--config.{key}={value}" for key, value in values.items()]
  return shlex.join(words)


def noted(
  found: Mapping[str, Any],
  changes: Iterable[Change],
  config: Mapping[str, Any],
  **more: Any,
) -> dict[str, Any]:
  """The content of config.json with other values, and with a line of history.

  Args:
    found: the content as it is.
    changes: what differs.
    config: nested, all keys, from now on.
    **more: of the line.
  """
  line = {
    "when": datetime.datetime.now().astimezone().isoformat("T", "seconds"),
    "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    "changes": {key: [old, new] for key, old, new in changes},
    **more,
  }
  history = [*found.get("history", []), line]
  return {**found, "config": config, "history": history}
