"""Logits of teachers that are computed once, and stored in a folder.

The teachers see each image in one fixed view. So the transforms must not be
random: neither those of the host nor those of the device. The folder has

  record.json        the teachers, and the examples and the view of each split
  train.npy, ...     (n, teachers, k) float32, in the order of the split

With data.folds, the splits of fold 2 of 5 are in its folder fold-2-of-5.

The folder may be shared by many runs. The teachers are needed only once: later
they are compared with the record if they exist.
"""

import dataclasses
import functools
import json
import logging
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import data, files, parallel
from jaxvision.config import ConfigDict
from jaxvision.downloads import redaction
from jaxvision.processes import agreement
from jaxvision.tasks import Teacher, teachers
from jaxvision.training.setup import inputs, logits_file

Splits = Mapping[str, data.Dataset]
Record = dict[str, Any]

FIELD = "teacher_logits"
_RECORD = "record.json"
# The settings of the record on which logits depend, and their names in errors.
_SETTINGS = {
  "image_size": "image size of the teachers",
  "channels": "number of channels",
  "compute": "precision.compute",
}
_LOGGER = logging.getLogger(__name__)


def check_view(config: ConfigDict) -> None:
  """Raises ValueError if images are transformed at random.

  Args:
    config: of a run with stored logits.
  """
  random = [
    *(t for t in config.data.train_transforms if _is_random(t)),
    *config.data.device_transforms,
  ]
  if random:
    raise ValueError(
      "task.teacher_logits stores the logits of one view of each image, and "
      f"the transforms of training are random: {', '.join(random)}; remove "
      "them, or set task.teacher_logits='' to run the teachers in each step"
    )


def _is_random(transform: str) -> bool:
  return data.make_host_transform((transform,)).random


def open_or_make(
  config: ConfigDict,
  splits: Splits,
  mesh: Mesh,
  load: Callable[[], Sequence[Teacher]],
  *,
  compared: bool = False,
) -> tuple[dict[str, data.Dataset], dict[str, str]]:
  """The splits with the field `FIELD`, and the digests of the teachers by name.

  Args:
    config: of the run; task.teacher_logits is the folder.
    splits: of the run, by role.
    mesh: on which missing logits are computed.
    load: loads the teachers. If they do not exist, the logits of teachers of
      the same names are used.
    compared: whether another run of this process has compared the teachers with
      the record.

  Raises:
    FileNotFoundError, ConnectionError: the logits are missing, or are those of
      teachers of other names, and a teacher does not exist.
    ValueError: the folder has the logits of other teachers, examples or views.
  """
  check_view(config)
  folder = _folder(config)
  wanted = _wanted(config, splits)
  record = agreement.first(lambda: _read(folder, wanted))
  if not record:
    record = _make(config, splits, mesh, load(), folder, wanted)
  elif not compared:
    _check_teachers(folder, record, wanted["names"], load)
  digests = {each["name"]: each["digest"] for each in record["teachers"]}
  return attach(splits, folder), digests


def attach(splits: Splits, folder: pathlib.Path) -> dict[str, data.Dataset]:
  """The splits with the field `FIELD`, read from a folder."""
  return {
    role: dataclasses.replace(
      split,
      fields=functools.partial(_fields, split, folder / f"{role}.npy"),
    )
    for role, split in splits.items()
  }


def with_zeros(
  splits: Splits, count: int, num_classes: int
) -> dict[str, data.Dataset]:
  """The splits with zeros as the field `FIELD`, for a plan.

  Args:
    splits: by role.
    count: number of teachers.
    num_classes: of their logits.
  """
  zeros = np.zeros((count, num_classes), np.float32)
  field = data.Field("array", lambda indices: [zeros] * len(indices))
  return {
    role: dataclasses.replace(
      split, fields=lambda s=split: {**s.fields(), FIELD: field}
    )
    for role, split in splits.items()
  }


def _folder(config: ConfigDict) -> pathlib.Path:
  """The folder of the logits; with folds, that of the fold."""
  folder, of = (
    pathlib.Path(config.task.teacher_logits).expanduser(),
    config.data,
  )
  return folder / f"fold-{of.fold}-of-{of.folds}" if of.folds else folder


def _wanted(config: ConfigDict, splits: Splits) -> Record:
  """The examples and the view of each split, as in the record."""
  found = {}
  for role, split in splits.items():
    identity = data.identify({role: split})[0]["splits"][role]
    found[role] = {
      **{key: identity[key] for key in ("num_examples", "ids", "content")},
      "view": list(_transforms(config, role)),
    }
  return {
    "names": [redaction.without_secrets(t) for t in config.task.teachers],
    "image_size": config.task.teacher_image_size,
    "channels": config.data.channels,
    "compute": config.precision.compute,
    "splits": found,
  }


def _transforms(config: ConfigDict, role: str) -> Sequence[str]:
  of_data = config.data
  if role == "train":
    return of_data.train_transforms
  return of_data.eval_transforms


def _read(folder: pathlib.Path, wanted: Record) -> Record:
  """The record of a folder; {} if it is missing.

  Raises:
    ValueError: the folder is for something else.
  """
  path = folder / _RECORD
  if not path.exists():
    return {}
  remedy = f"remove {folder}: the logits are then computed again"
  record = files.read_json(path, remedy=remedy)
  then, now = record["stored"], json.loads(files.to_json(wanted))
  wrong = [
    f"split {role}"
    for role, each in now["splits"].items()
    if then["splits"].get(role) != each
  ]
  wrong += [
    shown for key, shown in _SETTINGS.items() if then.get(key) != now[key]
  ]
  if wrong:
    raise ValueError(_another(folder, ", ".join(wrong)))
  return record


def _check_teachers(
  folder: pathlib.Path,
  record: Record,
  names: Sequence[str],
  load: Callable[[], Sequence[Teacher]],
) -> None:
  """Raises ValueError if the logits are those of other teachers."""
  try:
    loaded = load()
  except (FileNotFoundError, ConnectionError) as error:
    if record["stored"]["names"] != names:
      raise
    _LOGGER.info(
      "the logits in %s are not compared with the teachers: %s", folder, error
    )
    return
  then = [each["digest"] for each in record["teachers"]]
  if then != [each.digest for each in loaded]:
    raise ValueError(_another(folder, "teacher"))


def _another(folder: pathlib.Path, what: str) -> str:
  return (
    f"{folder} has stored logits of another {what}; remove it: the logits are "
    "then computed again, or give another folder in task.teacher_logits"
  )


def _make(
  config: ConfigDict,
  splits: Splits,
  mesh: Mesh,
  loaded: Sequence[Teacher],
  folder: pathlib.Path,
  wanted: Record,
) -> Record:
  """Computes the logits of all splits and writes the folder."""
  agreement.first(lambda: os.makedirs(folder, exist_ok=True))
  normalization = data.Normalization(config.data.mean, config.data.std)

  @functools.partial(jax.jit, out_shardings=parallel.replicated(mesh))
  def answer(variables, images):
    pixels = data.normalize(images, normalization)
    return teachers.logits(
      loaded, variables, images=pixels, normalization=normalization
    )

  variables = [each.variables for each in loaded]
  for role, split in splits.items():
    _LOGGER.info("computing the logits of the teachers for %s", split.split)
    batches = _batches(config, split, role, mesh)
    found = (
      np.asarray(answer(variables, parallel.put_batch(batch["image"], mesh)))
      for batch in batches.iterate(0, batches.num_batches)
    )
    shape = split.num_examples, len(loaded), loaded[0].model.num_classes
    logits_file.write(folder / f"{role}.npy", found, shape=shape)
  record = {
    "teachers": [{"name": t.name, "digest": t.digest} for t in loaded],
    "stored": wanted,
  }
  agreement.first(lambda: files.write_json(folder / _RECORD, record))
  return record


def _batches(
  config: ConfigDict, split: data.Dataset, role: str, mesh: Mesh
) -> data.Batches:
  values = config.to_dict()
  values["data"]["eval_transforms"] = _transforms(config, role)
  view = type(config)(values)
  return inputs.make_batches(view, split, train=False, mesh=mesh)


def _fields(split: data.Dataset, path: pathlib.Path) -> dict[str, data.Field]:
  read = functools.partial(logits_file.read, path)
  return {**split.fields(), FIELD: data.Field("array", read)}
