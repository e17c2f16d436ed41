"""The data splits of a config, and their batches."""

import logging
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from jaxvision import data, parallel
from jaxvision.config import ConfigDict
from jaxvision.tasks import Task

Tree = Any
ROLES = ("train", "validation", "test")
_LOGGER = logging.getLogger(__name__)


def make_source(config: ConfigDict) -> data.Source:
  """The data set of a config."""
  of = config.data
  return data.Source(
    kind=of.kind,
    name=of.name,
    data_dir=of.data_dir,
    num_classes=of.num_classes,
    labels=of.labels,
    sources=of.sources,
  )


def split_keys(config: ConfigDict) -> tuple[Any, ...]:
  """The settings that define the splits; equal if the splits are the same."""
  of = config.data
  splits = (of[role] for role in ROLES)
  return make_source(config), *splits, of.folds, of.fold


def roles(config: ConfigDict) -> tuple[str, ...]:
  """The roles that have a split: train, validation, test.

  With data.folds, a fold of the training split is the validation split.
  """
  of = config.data
  folded = {"validation": of.folds}
  return tuple(role for role in ROLES if of[role] or folded.get(role))


def open_split(config: ConfigDict, role: str) -> data.Dataset:
  """The split of a config for one of its `roles`."""
  of = config.data
  if not of.folds or role == "test":
    return data.open_dataset(make_source(config), of[role])
  return _open_folds(config)[role]


def open_splits(config: ConfigDict) -> dict[str, data.Dataset]:
  """The splits of a config by role: train, validation, test.

  Raises:
    ValueError: a split is missing, or two of them have different classes, or
      the training split cannot be divided into data.folds.
  """
  if not config.data.train:
    raise ValueError('data.train is empty; name a split, as in "train"')
  splits = {}
  if config.data.folds:
    splits = _open_folds(config)
    _say_validation(config, splits["validation"])
  splits |= {
    role: open_split(config, role)
    for role in roles(config)
    if role not in splits
  }
  for role, split in splits.items():
    if split.class_names != splits["train"].class_names:
      raise ValueError(
        f"data.{role} {split.split!r} of {split.name} has the classes "
        f"{_short(split.class_names)}, but the training split has "
        f"{_short(splits['train'].class_names)}; the splits of a run share "
        "their classes"
      )
  return splits


def _open_folds(config: ConfigDict) -> dict[str, data.Dataset]:
  """The training and the validation split of cross-validation."""
  of = config.data
  whole = data.open_dataset(make_source(config), of.train)
  train, held = data.hold_out(whole, fold=of.fold, folds=of.folds)
  return {"train": train, "validation": held}


def _say_validation(config: ConfigDict, held: data.Dataset) -> None:
  unused = config.data.validation
  _LOGGER.info(
    "validation: %s (%d examples)%s",
    held.split,
    held.num_examples,
    f"; data.validation {unused!r} is not used" if unused else "",
  )


def make_batches(
  config: ConfigDict,
  dataset: data.Dataset,
  *,
  train: bool,
  mesh: Mesh | None = None,
  transforms: Sequence[str] | None = None,
  size: int = 0,
) -> data.Batches:
  """A split as batches, shuffled for training, in order for evaluation.

  Args:
    config: of the run.
    dataset: the split.
    train: True for training, False for evaluation.
    mesh: only the rows of its devices in this process are loaded. None loads
      all rows.
    transforms: host transforms in place of those of the config.
    size: examples in a batch; 0 for those of the config.
  """
  size = size or batch_size(config, train=train)
  if transforms is None:
    transforms = (
      config.data.train_transforms if train else config.data.eval_transforms
    )
  return data.make_batches(
    dataset,
    batch_size=size,
    transforms=transforms,
    channels=config.data.channels,
    seed=config.seed if train else None,
    rows=parallel.local_rows(size, mesh) if mesh else slice(size),
    threads=config.data.threads,
    workers=config.data.workers,
    max_unreadable=config.data.max_unreadable,
    max_pixels=config.data.max_pixels,
    sampling=config.data.sampling,
  )


def batch_size(config: ConfigDict, *, train: bool) -> int:
  """The examples in a batch, over all devices and processes."""
  if train:
    return config.train.batch_size
  return config.evaluate.batch_size or config.train.batch_size


def batch_template(task: Task, size: int, mesh: Mesh) -> Tree:
  """The shapes, types and shardings of a batch of `size` examples."""
  split = parallel.batch_sharding(mesh)
  return {
    name: jax.ShapeDtypeStruct((size, *shape), kind, sharding=split)
    for name, (shape, kind) in task.batch.items()
  }


def _short(names: tuple[str, ...]) -> str:
  shown = ", ".join(names[:5])
  return shown + (f", ... ({len(names)})" if len(names) > 5 else "")
