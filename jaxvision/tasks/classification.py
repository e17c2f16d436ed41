"""Classification: images in, a distribution over classes out.

Batches are {image (b, h, w, c) uint8, label (b,) int32, mask (b,) float32}.
Sums are over the examples whose mask is 1; `classification.finish` divides
them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxvision import data, metrics
from jaxvision.optimizers import freezing
from jaxvision.tasks.contract import Batch, TaskLoss

Tree = Any
Loss = Callable[[jax.Array, jax.Array], jax.Array]


def make_task_loss(
  model: nn.Module,
  *,
  loss: Loss,
  auxiliary_weight: float = 0.0,
  penalty: Callable[[Tree], jax.Array],
  learning_rate_rules: freezing.Rules = ((".*", 1.0),),
  device_transform: Callable[[jax.Array, Batch], Batch],
  normalization: data.Normalization,
) -> TaskLoss:
  """What the train step minimises: masked mean of the loss plus penalty.

  Args:
    model: called as model(images, train=True) -> logits (b, k).
    loss: (logits (b, k), targets (b, k)) -> (b,).
    auxiliary_weight: of the loss of each auxiliary classifier, whose logits the
      model sows into the collection "auxiliary"; added to the mean loss, too.
    penalty: of the parameters, added to the mean loss.
    learning_rate_rules: None freezes, see `jaxvision.optimizers.freezing`.
    device_transform: (key, batch) -> batch, after normalisation.
    normalization: of the pixels.

  Returns:
    The task loss; its sums are loss, top1, and count, of the model's logits.
    top1 is that of the labels, whatever the transform makes of the targets.
  """

  inputs = make_inputs(
    model.num_classes,
    device_transform=device_transform,
    normalization=normalization,
  )

  def task_loss(params, model_state, batch, key):
    given, batch = inputs(batch, key)
    _, dropout_key = jax.random.split(key)
    is_frozen = freezing.frozen(params, learning_rate_rules)
    params = freezing.stop_gradients(params, is_frozen)
    with freezing.keep_statistics(model, is_frozen):
      logits, model_state = model.apply(
        {"params": params, **model_state},
        batch["image"],
        train=True,
        mutable=[*model_state, "auxiliary"],
        rngs={"dropout": dropout_key},
      )
    model_state = dict(model_state)
    auxiliary = model_state.pop("auxiliary", {})
    sums = metrics.classification.training_sums(
      logits, given["targets"], given["mask"]
    )
    sums["loss"] = _loss_sum(loss, logits, batch)
    minimised = sums["loss"] + auxiliary_weight * sum(
      _loss_sum(loss, each, batch) for each in jax.tree.leaves(auxiliary)
    )
    mean_loss = minimised / jnp.maximum(sums["count"], 1)
    return mean_loss + penalty(params), (model_state, sums)

  return task_loss


def make_inputs(
  num_classes: int,
  *,
  device_transform: Callable[[jax.Array, Batch], Batch],
  normalization: data.Normalization,
) -> Callable[[Batch, jax.Array], tuple[Batch, Batch]]:
  """inputs(batch, key) -> batches of {image, targets, mask} for the model.

  The first is as evaluation sees it: normalised, with the labels as targets.
  The second is what training makes of it, by the key of the step.
  """

  def inputs(batch, key):
    transform_key, _ = jax.random.split(key)
    given = _with_targets(batch, num_classes, normalization)
    return given, device_transform(transform_key, given)

  return inputs


def make_task_sums(
  model: nn.Module,
  *,
  loss: Loss,
  normalization: data.Normalization,
) -> Callable[[Tree, Batch], tuple[Tree, jax.Array]]:
  """evaluate(variables, batch) -> (sums of all metrics, logits (b, k))."""

  def evaluate(variables, batch):
    batch = _with_targets(batch, model.num_classes, normalization)
    logits = model.apply(variables, batch["image"], train=False)
    sums = metrics.classification.sums(logits, batch["targets"], batch["mask"])
    sums["loss"] = _loss_sum(loss, logits, batch)
    return sums, logits.astype(jnp.float32)

  return evaluate


def _with_targets(
  batch: Batch, num_classes: int, normalization: data.Normalization
) -> Batch:
  return {
    "image": data.normalize(batch["image"], normalization),
    "targets": jax.nn.one_hot(batch["label"], num_classes),
    "mask": batch["mask"],
  }


def _loss_sum(loss: Loss, logits: jax.Array, batch: Batch) -> jax.Array:
  losses = loss(logits.astype(jnp.float32), batch["targets"])
  # A masked example is no number times zero: its image may be anything.
  return jnp.sum(jnp.where(batch["mask"] > 0, losses, 0.0))
