"""Sanity checks before a long training: overfitting, and the first loss."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import config_dict

from jaxvision import data, models, tasks, user_code
from jaxvision.config import ConfigDict
from jaxvision.training.setup.parts import Parts

_LOGGER = logging.getLogger(__name__)

_STEPS = 500
# Options that prevent memorisation, or that need more steps or examples.
_OVERFIT = {
  "loss.l1": 0.0,
  "loss.l2": 0.0,
  "optimizer.weight_decay": 0.0,
  "optimizer.sam_radius": 0.0,
  "schedule.name": "constant",
  "schedule.duration": "",
  "schedule.warmup": "0 steps",
  "schedule.momentum": (),
  "ema.decay": 0.0,
  "ema.start": "",
  "evaluate.every": "100 steps",
  "evaluate.batch_size": 0,
  "evaluate.probes": (),
  "evaluate.suites": (),
  "checkpoint.every": f"{_STEPS} steps",
  "log.every": "10 steps",
  "train.patience": 0,
  "checkpoint.best": "validation/top1",
  "checkpoint.restore_best": False,
}
# With this momentum the running averages converge within `_STEPS` steps.
_MOMENTUM = 0.9


def overfit(
  config: ConfigDict, splits: dict[str, data.Dataset], num_examples: int
) -> tuple[ConfigDict, dict[str, data.Dataset]]:
  """A config and splits to overfit a few examples.

  Training and validation use the same examples, for 500 steps at a constant
  learning rate. Augmentation, regularisation, averaging, warm-up, accumulation,
  probes and suites are off. Options of the model and of the task with "drop" in
  their name are 0. A correct model and a correct step reach a loss near zero.

  Raises:
    ValueError: the split has fewer examples, or there are more devices than
      examples.
  """
  train = splits["train"]
  devices = jax.device_count()
  if not 1 <= num_examples <= train.num_examples:
    raise ValueError(
      f"cannot overfit {num_examples} examples: {train.split!r} of "
      f"{train.name} has {train.num_examples}"
    )
  if num_examples < devices:
    raise ValueError(
      f"cannot overfit {num_examples} examples: each of the {devices} devices "
      f"needs one; give at least {devices}"
    )
  few = dataclasses.replace(
    train,
    split=f"{train.split}, the first {num_examples}",
    num_examples=num_examples,
    labels=lambda: train.labels()[:num_examples],
    mixture=(),
    ranges=(),
    chosen=None,
    content=None,
  )
  config = config_dict.ConfigDict(config)
  config.data.train_transforms = config.data.eval_transforms
  config.data.device_transforms = ()
  config.loss.options = {
    name: value
    for name, value in config.loss.options.to_dict().items()
    if "smoothing" not in name
  }
  config.model.options = {
    **config.model.options.to_dict(),
    **_without_chance(models.options(config.model.name), config.model.options),
  }
  config.schedule.options = {}
  config.task.options = {
    **config.task.options.to_dict(),
    **_without_chance(tasks.options(config.task.name), config.task.options),
  }
  config.update_from_flattened_dict(_OVERFIT)
  _fit_steps(config.train, num_examples, devices)
  return config_dict.FrozenConfigDict(config), {
    "train": few,
    "validation": few,
  }


def _without_chance(
  defaults: Mapping[str, Any], chosen: ConfigDict
) -> dict[str, float]:
  """Options that turn off dropout, drop path and slow running averages."""
  options = {**defaults, **chosen.to_dict()}
  rates = {
    name: 0.0
    for name, value in options.items()
    if "drop" in name and type(value) in (int, float)
  }
  if options.get("norm_momentum", 0.0) > _MOMENTUM:
    rates["norm_momentum"] = _MOMENTUM
  return rates


def _fit_steps(train: ConfigDict, num_examples: int, devices: int) -> None:
  """Sets a batch size for few examples, at most that of the recipe's parts."""
  part = train.batch_size // train.accumulate
  most = min(part, num_examples)
  train.batch_size = max(most - most % devices, devices)
  train.accumulate = 1
  train.steps_per_dispatch = min(train.steps_per_dispatch, _STEPS // 5)
  calls = -(-_STEPS // train.steps_per_dispatch)
  train.duration = f"{calls * train.steps_per_dispatch} steps"


def check_first_loss(config: ConfigDict, parts: Parts, loss: float) -> None:
  """Warns if the first loss is not near that of an untrained model.

  The loss is near if it is within a factor of two.
  """
  expected = parts.task.untrained()
  if expected is None or 0.5 * expected <= loss <= 2 * expected:
    return
  _LOGGER.warning(
    "the first loss is %.4g, but an untrained %s classifier of %d classes "
    "has %.4g. If it is larger, check the normalisation (data.mean, data.std) "
    "and the initial scale of the last layer. If it is smaller, the labels may "
    "be constant, or visible in the images.",
    loss,
    user_code.as_written(config.loss.name),
    len(parts.class_names),
    expected,
  )


def judge_overfit(
  metrics: Mapping[str, float],
  num_examples: int,
  *,
  learnt: tuple[str, float] = ("top1", 1.0),
) -> None:
  """Logs whether the model has memorised the examples.

  Args:
    metrics: of the examples, after the training.
    num_examples: number of examples.
    learnt: a metric, and its minimum if the examples are memorised.
  """
  name, least = learnt
  memorised = metrics[name] >= least
  _LOGGER.log(
    logging.INFO if memorised else logging.WARNING,
    "overfit: loss %.4g and %s %.2f%% on the %d examples it was trained on: %s",
    metrics["loss"],
    "accuracy" if name == "top1" else name,
    100 * metrics[name],
    num_examples,
    "the model, the loss and the step can learn."
    if memorised
    else "it did not memorise them. Look for a learning rate that is too "
    "low or too high, labels that do not belong to their images, dropout, or "
    "a bug.",
  )
