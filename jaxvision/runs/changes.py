"""What may change when a run goes on, and what is said of the rest.

Keys of the machine, of the log, of evaluations and of checkpoints do not change
what is trained. A run goes on with other values of them, and config.json keeps
what they were, in its "history". All others make another run.
"""

import datetime
import math
import pathlib
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxvision import config as configs
from jaxvision.runs import reading

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
  every = reading.compare_configs({}, configs.complete({}))
  defaults = {key: value for key, _, value in every}
  changes = [
    (key, defaults.get(key, old) if old == reading.ABSENT else old, new)
    for key, old, new in reading.compare_configs(
      configs.as_trained(there), here
    )
  ]
  return [each for each in changes if each[1] != each[2]]


def check(
  workdir: Path,
  found: Mapping[str, Any],
  config: Mapping[str, Any],
  *,
  recipe: str,
  overrides: Mapping[str, Any],
  overfit: int,
  extended: Mapping[str, Any] | None,
) -> list[Change]:
  """What differs from the config of a run that goes on.

  Args:
    workdir: of the run.
    found: the content of its config.json.
    config: that is asked for now; nested, all keys.
    recipe, overrides, overfit: how that came about; the recipe is "" where the
      run's own config is meant.
    extended: what to note of an extension; None where the run is not extended.

  Raises:
    ValueError: keys differ that make another run; shows them and what to do.
  """
  changes = find(found["config"], config)
  if found["overfit"] != overfit:
    changes.append(("--overfit", found["overfit"], overfit))
  allowed = EXTENDED if extended else ()
  refused = [
    each for each in changes if not (is_free(each[0]) or each[0] in allowed)
  ]
  if refused and not recipe:
    recipe = found["recipe"]
    overrides = {**found["overrides"], **overrides}
  if refused:
    _refuse(workdir, refused, recipe=recipe, overrides=overrides)
  return changes


def _refuse(
  workdir: Path,
  changes: Sequence[Change],
  *,
  recipe: str,
  overrides: Mapping[str, Any],
) -> None:
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


def check_finite(config: Mapping[str, Any]) -> None:
  """JSON has no infinity, and the run would not know its config again."""
  for key, value in reading.flatten(config).items():
    if isinstance(value, float) and not math.isfinite(value):
      raise ValueError(f"{key}={value} must be a finite number")


def noted(
  found: Mapping[str, Any],
  changes: Iterable[Change],
  config: Mapping[str, Any],
  more: Mapping[str, Any] | None,
) -> dict[str, Any]:
  """The content of config.json with other values, and with a line of history.

  Args:
    found: the content as it is.
    changes: what differs.
    config: nested, all keys, from now on.
    more: of the line.
  """
  line = {
    "when": datetime.datetime.now().astimezone().isoformat("T", "seconds"),
    "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    "changes": {key: [old, new] for key, old, new in changes},
    **(more or {}),
  }
  history = [*found.get("history", []), line]
  return {**found, "config": config, "history": history}
