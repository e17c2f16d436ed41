"""The checks that the field teaches before any long training."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import config_dict

from jaxvision import assembly, data, losses, user_code
from jaxvision.config import ConfigDict

_LOGGER = logging.getLogger(__name__)

_OVERFIT = {
  "loss.l1": 0.0,
  "loss.l2": 0.0,
  "optimizer.weight_decay": 0.0,
  "optimizer.sam_radius": 0.0,
  "schedule.name": "constant",
  "schedule.duration": "",
  "ema.decay": 0.0,
  "train.duration": "500 steps",
  "evaluate.every": "100 steps",
  "checkpoint.every": "500 steps",
  "log.every": "50 steps",
  "checkpoint.best": "validation/top1",
}


_SMOOTHING = ("label_smoothing", "smoothing_form")
_DROPOUT = ("dropout",)


def overfit(
  config: ConfigDict, splits: dict[str, data.Dataset], num_examples: int
) -> tuple[ConfigDict, dict[str, data.Dataset]]:
  """A config and splits for learning a few examples by heart.

  The same examples to train and validate on, no augmentation, regularisation
  or averaging, a constant learning rate, 500 steps. A model and a
  step that are right reach a loss near zero.

  Raises:
    ValueError: there are not so many examples, or more devices than that.
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
  )
  config = config_dict.ConfigDict(config)
  config.data.train_transforms = config.data.eval_transforms
  config.data.device_transforms = ()
  config.loss.options = _without(config.loss.options, _SMOOTHING)
  config.model.options = _without(config.model.options, _DROPOUT)
  config.schedule.options = {}
  config.update_from_flattened_dict(_OVERFIT)
  config.train.batch_size = min(
    config.train.batch_size, num_examples - num_examples % devices
  )
  return config_dict.FrozenConfigDict(config), {
    "train": few,
    "validation": few,
  }


def _without(options: ConfigDict, names: tuple[str, ...]) -> dict[str, Any]:
  return {k: v for k, v in options.to_dict().items() if k not in names}


def check_first_loss(parts: assembly.Parts, loss: float) -> None:
  """Warns where an untrained model does not have the loss of ignorance."""
  num_classes = len(parts.splits["train"].class_names)
  expected = losses.untrained(
    parts.config.loss.name, parts.config.loss.options.to_dict(), num_classes
  )
  if not 0.5 * expected <= loss <= 2 * expected:
    _LOGGER.warning(
      "the first loss is %.4g, but a %s classifier that knows nothing of %d "
      "classes has %.4g. Larger: look at the normalisation (data.mean, "
      "data.std) and at the initial scale of the last layer. Smaller: the "
      "labels may be constant, or visible in the images.",
      loss,
      user_code.as_written(parts.config.loss.name),
      num_classes,
      expected,
    )


def judge_overfit(metrics: Mapping[str, float], num_examples: int) -> None:
  """Says whether the examples were learnt by heart."""
  learnt = metrics["top1"] == 1
  _LOGGER.log(
    logging.INFO if learnt else logging.WARNING,
    "overfit: loss %.4g and accuracy %.2f%% on the %d examples it was trained "
    "on: %s",
    metrics["loss"],
    100 * metrics["top1"],
    num_examples,
    "the model, the loss and the step can learn."
    if learnt
    else "it did not learn them by heart. Look for a learning rate that is too "
    "low or too high, labels that do not belong to their images, dropout, or "
    "a bug.",
  )
