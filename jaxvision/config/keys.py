"""The table of config keys with their types and ranges.

The dictionaries called `options` are not in the table. They are keyword
arguments of functions, whose parameters declare types and ranges.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from jaxvision.config import durations
from jaxvision.lookup.options import convert
from jaxvision.lookup.ranges import (
  Count,
  Form,
  NonNegative,
  Positive,
  Probability,
  Range,
  Rate,
  Regex,
  Whole,
)

Duration = Annotated[str, Form("a duration", durations.parse)]
Text = tuple[str, ...]


def _check_optional(text: str) -> None:
  """Checks a duration that may be empty."""
  if text:
    durations.parse(text)


# Examples of a batch over all devices; the bound exceeds all published sizes.
Batch = Annotated[int, Range(1, 2**20)]
# Number of threads or processes of a machine.
Workers = Annotated[int, Range(0, 1024)]
Axis = str | tuple[str, ...] | None
Source = tuple[Positive, str, str, str]

TYPES: Mapping[str, Any] = {
  "seed": Annotated[int, Range(0, 2**32 - 1)],
  "task.name": str,
  "task.teachers": Text,
  "task.teacher_image_size": Whole,
  "task.teacher_logits": str,
  "model.name": str,
  "model.weights": str,
  "model.ignore": tuple[Regex, ...],
  "data.kind": str,
  "data.name": str,
  "data.sources": tuple[Source, ...],
  "data.data_dir": str | None,
  "data.train": str,
  "data.validation": str,
  "data.test": str,
  "data.folds": Whole,
  "data.fold": Whole,
  "data.num_classes": Whole,
  "data.labels": str,
  "data.sampling": str,
  "data.channels": Count,
  "data.train_transforms": Text,
  "data.eval_transforms": Text,
  "data.device_transforms": Text,
  "data.mean": tuple[Probability, ...],
  "data.std": tuple[Positive, ...],
  "data.placement": str,
  "data.threads": Workers,
  "data.workers": Workers,
  "data.max_unreadable": Probability,
  "data.max_pixels": Count,
  "loss.name": str,
  "loss.class_weights": tuple[str | Positive, ...],
  "loss.auxiliary_weight": NonNegative,
  "loss.l1": NonNegative,
  "loss.l2": NonNegative,
  "loss.penalty_on": Regex,
  "optimizer.name": str,
  "optimizer.learning_rate": NonNegative,
  "optimizer.weight_decay": NonNegative,
  "optimizer.gradient_clip": NonNegative,
  "optimizer.learning_rate_rules": tuple[tuple[Regex, NonNegative | None], ...],
  "optimizer.layer_decay": Annotated[float, Range(0, 1, above=True)],
  "optimizer.weight_decay_rules": tuple[tuple[Regex, NonNegative], ...],
  "optimizer.sam_radius": NonNegative,
  "schedule.name": str,
  "schedule.duration": Annotated[str, Form("a duration", _check_optional)],
  "schedule.warmup": Duration,
  "schedule.momentum": tuple[Rate, ...],
  "ema.decay": Annotated[float, Range(0, 0.999_999)],
  "ema.start": Annotated[str, Form("a duration", _check_optional)],
  "ema.every": Duration,
  "ema.statistics": Duration,
  "train.duration": Duration,
  "train.batch_size": Batch,
  "train.steps_per_dispatch": Count,
  "train.accumulate": Batch,
  "train.remat": str,
  "train.image_sizes": tuple[tuple[Duration, Count], ...],
  "train.patience": Whole,
  "mesh.replica": Whole,
  "mesh.data": Whole,
  "mesh.fsdp": Whole,
  "mesh.rules": tuple[tuple[Regex, str | tuple[Axis, ...]], ...],
  "precision.parameters": str,
  "precision.compute": str,
  "precision.output": str,
  "precision.optimizer": str,
  "evaluate.every": Duration,
  "evaluate.batch_size": Annotated[int, Range(0, 2**20)],
  "evaluate.probes": Text,
  "evaluate.suites": Text,
  "evaluate.explain": str,
  "checkpoint.every": Duration,
  "checkpoint.keep": Count,
  "checkpoint.best": str,
  "checkpoint.restore_best": bool,
  "log.every": Annotated[str, Form("a duration", _check_optional)],
  "log.tensorboard": bool,
  "log.trackers": Text,
  "log.peak_flops": Annotated[float, Range(0, 1e30)],
}


def check(values: Mapping[str, Any]) -> dict[str, Any]:
  """Converts the values of keys to their types.

  Args:
    values: by dotted key; keys outside the table stay unchanged.

  Raises:
    ValueError: a value has the wrong type or is out of range; names the key.
  """
  return {
    key: convert(value, TYPES[key], name=f"config key {key!r}")
    if key in TYPES
    else value
    for key, value in values.items()
  }
