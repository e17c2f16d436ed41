"""The record of a run's data, WORKDIR/data.json, and its comparison.

A run that is resumed or evaluated with other data would give wrong results
without an error: permuted labels, another schedule, test images that were
trained on.

train_ids.npy contains a number for each training image, (n,) uint64, sorted.
The numbers show training images that have moved into another split.
"""

import hashlib
import json
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxvision import data, files
from jaxvision.processes import agreement

Splits = Mapping[str, data.Dataset]

# The values of --data-changed.
CHOICES = ("refuse", "accept")
_RECORD = "data.json"
_IDS = "train_ids.npy"
_MOVED = (
  "\nThe class indices differ from those that the model has learned. Restore "
  "the old class names, or train a new run in another --workdir."
)
_LOGGER = logging.getLogger(__name__)


def check(
  workdir: pathlib.Path, splits: Splits, *, changed: str = "refuse"
) -> None:
  """Compares the data with the record of the run; writes a missing record.

  Warns of examples that are in two splits. Every process calls this function.

  Args:
    workdir: the run's folder. A folder of an older version has no record yet.
    splits: by role.
    changed: "accept" accepts changed data and records them.

  Raises:
    ValueError: the data have changed, or differ between processes. The message
      tells the differences and the remedy.
  """
  now, keys = data.identify(splits)
  agreement.first(lambda: _check(workdir, splits, now, keys, changed))
  if jax.process_count() > 1:
    text = json.dumps(now, sort_keys=True)
    sizes = [f"{each.num_examples} {role}" for role, each in splits.items()]
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    agreement.agree({"data": f"{', '.join(sizes)}, digest {digest}"})


def _check(
  workdir: pathlib.Path,
  splits: Splits,
  now: dict[str, Any],
  keys: Mapping[str, np.ndarray],
  changed: str,
) -> None:
  for text in data.overlaps(splits, keys):
    _LOGGER.warning("%s", text)
  then = _read(workdir)
  found = data.differences(then, now) if then else []
  if found and not data.keeps_classes(then, now):
    raise ValueError(_explained(workdir, found) + _MOVED)
  if found:
    _judge(workdir, found, changed, "--workdir=OTHER to train a new run, or ")
    now["before"] = [*then.pop("before", []), then]
    for role in splits.keys() - {"train"}:
      _say_trained_on(workdir, splits[role], keys[role])
  elif then:
    if (workdir / _IDS).exists() and set(now["splits"]) <= set(then["splits"]):
      return
    now["before"] = then.get("before", [])
  trained_on = np.union1d(_trained_on(workdir), keys["train"])
  with files.writing(workdir / _IDS) as file:
    np.save(file, trained_on)
  files.write_json(workdir / _RECORD, now)


def check_role(
  workdir: pathlib.Path,
  role: str,
  split: data.Dataset,
  *,
  changed: str = "refuse",
  warn: bool = True,
) -> None:
  """Compares one split with the record of the run.

  Warns of examples of the split that were trained on.

  Args:
    workdir: the run's folder. Without a record, nothing is compared.
    role: train, validation or test.
    split: to evaluate.
    changed: "accept" accepts a changed split.
    warn: whether to look for examples that were trained on.

  Raises:
    ValueError: the split has changed. The message tells the differences and the
      remedy.
  """
  now, keys = data.identify({role: split})
  if role != "train" and warn:
    _say_trained_on(workdir, split, keys[role])
  then = _read(workdir)
  if then:
    found = data.differences(then, now)
    if found:
      _judge(workdir, found, changed, "")


def say_trained_on(workdir: pathlib.Path, split: data.Dataset) -> None:
  """Warns of examples of a split that the run was trained on."""
  _say_trained_on(workdir, split, data.identify({"test": split})[1]["test"])


def _say_trained_on(
  workdir: pathlib.Path, split: data.Dataset, keys: np.ndarray
) -> None:
  count = len(np.intersect1d(keys, _trained_on(workdir)))
  if count:
    _LOGGER.warning(
      "%d of the %d examples of %r were trained on: metrics on them do not "
      "measure generalisation",
      count,
      split.num_examples,
      split.split,
    )


def _judge(
  workdir: pathlib.Path, found: list[str], changed: str, others: str
) -> None:
  if changed not in CHOICES:
    raise ValueError(
      f"--data-changed is {changed!r}; expected refuse or accept"
    )
  text = _explained(workdir, found)
  if changed == "accept":
    _LOGGER.warning("%s\nThe changed data are accepted.", text)
    return
  raise ValueError(
    f"{text}\nRestore the data, or use {others}--data-changed=accept to "
    "continue with the changed data."
  )


def _explained(workdir: pathlib.Path, found: list[str]) -> str:
  listed = "".join(f"\n  {each}" for each in found)
  return f"the data of {workdir} differ from its training data:{listed}"


def _read(workdir: pathlib.Path) -> dict[str, Any]:
  """The record of a run; {} if it is missing or damaged."""
  path = workdir / _RECORD
  if not path.exists():
    return {}
  try:
    found = files.read_json(path)
    data.differences(found, {**found, "splits": dict(found["splits"])})
    return found
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    _LOGGER.warning(
      "%s is damaged (%s): the data are not compared with those of the start",
      path,
      error,
    )
    return {}


def _trained_on(workdir: pathlib.Path) -> np.ndarray:
  path = workdir / _IDS
  if not path.exists():
    return np.zeros(0, np.uint64)
  try:
    with files.open_regular(path) as file:
      found = np.load(file, allow_pickle=False)
    return found.astype(np.uint64, casting="safe")
  except Exception as error:
    _LOGGER.warning(
      "%s is damaged (%s): images that were trained on cannot be found",
      path,
      error,
    )
    return np.zeros(0, np.uint64)
