"""Config changes of a resumed run: free keys, and refused keys.

Keys of the machine, the log, evaluations and checkpoints do not change the
training. A run can resume with other values of these keys; "history" in
config.json records the old values. Other keys define another run.
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

# Keys and groups of keys that do not change the training.
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
  # The digests of the teachers decide.
  "task.teachers",
  # It decides when the run ends, and not the steps before.
  "train.patience",
  "train.remat",
)
# Keys that an extension changes.
EXTENDED = (
  "train.duration",
  "schedule.duration",
  "ema.start",
  "ema.every",
  "train.image_sizes",
)


def is_free(key: str) -> bool:
  """Whether a key does not change the training."""
  return any(key == each or key.startswith(f"{each}.") for each in FREE)


def find(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[Change]:
  """The differences between the config of a folder and another config.

  Args:
    there: the config in config.json; a key that it lacks has its default.
    here: the other config, nested, with all keys.
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
  """The differences from the config of the run that is resumed.

  Args:
    workdir: the run's folder.
    found: the content of its config.json.
    config: the new config; nested, with all keys.
    recipe, overrides, overfit: the origin of the new config; the recipe is ""
      for the run's own config.
    extended: record of an extension; None if the run is not extended.

  Raises:
    ValueError: a key differs that defines another run. The message has the
      differences and the remedies.
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
  remedies = ["Use another --workdir for this run, or restore the config."]
  keys, longer = {key for key, _, _ in changes}, ""
  if keys <= {*EXTENDED}:
    command = shlex.join(["jaxvision", "train", "--workdir", str(workdir)])
    longer += (
      f"\nTo resume this run without changes: {command}"
      f"\nTo train it for longer: {command} --extend 'DURATION'"
    )
  if recipe and not keys & {"model.name", "--overfit"}:
    remedies.append(
      "To start a new run from these weights: "
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
  """Raises ValueError for infinity and NaN, which JSON cannot represent."""
  for key, value in reading.flatten(config).items():
    if isinstance(value, float) and not math.isfinite(value):
      raise ValueError(f"{key}={value} must be a finite number")


def with_history(
  found: Mapping[str, Any],
  changes: Iterable[Change],
  config: Mapping[str, Any],
  more: Mapping[str, Any] | None,
) -> dict[str, Any]:
  """The content of config.json with a new config and one more history record.

  Args:
    found: the present content.
    changes: the differences.
    config: the new config; nested, with all keys.
    more: further fields of the history record.
  """
  line = {
    "when": datetime.datetime.now().astimezone().isoformat("T", "seconds"),
    "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    "changes": {key: [old, new] for key, old, new in changes},
    **(more or {}),
  }
  history = [*found.get("history", []), line]
  return {**found, "config": config, "history": history}
