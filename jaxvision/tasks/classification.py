"""The classification task: images -> a distribution over classes.

Batches are {image (b, h, w, c) uint8, label (b,) int32, mask (b,) float32}.
Sums are over the examples with mask 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxvision import data, metrics
from jaxvision.metrics import classification
from jaxvision.optimizers import freezing
from jaxvision.tasks.contract import (
  Artifacts,
  Batch,
  Components,
  Evaluate,
  Task,
  TaskLoss,
)

Tree = Any


def make(components: Components) -> Task:
  """Returns the classification task. The targets are distributions."""
  num_classes = components.model.num_classes
  names = _measured(num_classes)
  return Task(
    batch={
      "image": (components.image_shape, np.uint8),
      "label": ((), np.int32),
      "mask": ((), np.float32),
    },
    init=_make_init(components),
    inputs=_make_inputs(components),
    loss=_make_loss(components),
    evaluate=_make_evaluate(components),
    finish=classification.finish,
    logged=("loss", "top1"),
    measured=(*names, "loss"),
    best=dict.fromkeys([n for n in names if n != "calibration_error"], 1),
    untrained=lambda: _untrained(components.loss, num_classes),
    answer=lambda logits: jax.nn.softmax(logits.astype(jnp.float32)),
    rank=_rank,
    predictions=_predictions,
    artifacts=_artifacts,
  )


def make_task_loss(
  model: nn.Module,
  *,
  loss: Callable[[jax.Array, jax.Array], jax.Array],
  mean: Sequence[float],
  std: Sequence[float],
  **components: Any,
) -> TaskLoss:
  """The loss of the task, with the arguments of earlier versions.

  Args:
    model, loss: as in `Components`.
    mean, std: of the channels, for pixels in [0, 1].
    **components: the other attributes of `Components`.
  """
  normalization = data.Normalization(mean, std)
  return make(Components(model, loss, normalization, **components)).loss


def _make_init(components: Components):
  def init(key: jax.Array) -> Tree:
    images = jnp.zeros((1, *components.image_shape), jnp.float32)
    return components.model.init(key, images, train=False)

  return init


def _make_inputs(components: Components):
  """Makes (batch, key) -> (batch for evaluation, batch for training)."""

  def inputs(batch: Batch, key: jax.Array) -> tuple[Batch, Batch]:
    transform_key, _ = jax.random.split(key)
    given = _with_targets(batch, components)
    return given, components.device_transform(transform_key, given)

  return inputs


def _make_loss(components: Components) -> TaskLoss:
  """The masked mean of the loss, with auxiliary losses, plus the penalty.

  The sums are computed from the logits. top1 uses the labels before the device
  transforms.
  """
  model, inputs = components.model, _make_inputs(components)

  def task_loss(params, model_state, batch, key):
    given, batch = inputs(batch, key)
    _, dropout_key = jax.random.split(key)
    is_frozen = freezing.frozen(params, components.learning_rate_rules)
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
    sums = classification.training_sums(logits, given["targets"], given["mask"])
    sums["loss"] = _loss_sum(components, logits, batch)
    minimised = sums["loss"] + components.auxiliary_weight * sum(
      _loss_sum(components, each, batch) for each in jax.tree.leaves(auxiliary)
    )
    mean_loss = minimised / jnp.maximum(sums["count"], 1)
    return mean_loss + components.penalty(params), (model_state, sums)

  return task_loss


def _make_evaluate(components: Components) -> Evaluate:
  """Makes (variables, batch) -> (sums of all metrics, logits (b, k))."""

  def evaluate(variables: Tree, batch: Batch) -> tuple[Tree, jax.Array]:
    batch = _with_targets(batch, components)
    logits = components.model.apply(variables, batch["image"], train=False)
    sums = classification.sums(logits, batch["targets"], batch["mask"])
    sums["loss"] = _loss_sum(components, logits, batch)
    return sums, logits.astype(jnp.float32)

  return evaluate


def _with_targets(batch: Batch, components: Components) -> Batch:
  num_classes = components.model.num_classes
  return {
    "image": data.normalize(batch["image"], components.normalization),
    "targets": jax.nn.one_hot(batch["label"], num_classes),
    "mask": batch["mask"],
  }


def _loss_sum(
  components: Components, logits: jax.Array, batch: Batch
) -> jax.Array:
  losses = components.loss(logits.astype(jnp.float32), batch["targets"])
  # `where` instead of a product: the loss of a masked example may be NaN.
  return jnp.sum(jnp.where(batch["mask"] > 0, losses, 0.0))


def _measured(num_classes: int) -> list[str]:
  """The names of the metrics of an evaluation, without the loss."""
  logits = jax.ShapeDtypeStruct((1, num_classes), np.float32)
  mask = jax.ShapeDtypeStruct((1,), np.float32)
  shapes = jax.eval_shape(classification.sums, logits, logits, mask)
  ones = jax.tree.map(lambda each: np.ones(each.shape, int), shapes)
  return list(classification.finish(ones))


def _untrained(loss, num_classes: int) -> float:
  """The loss at zero logits: log C for softmax, C - 1 for hinge."""
  losses = loss(jnp.zeros((1, num_classes)), jnp.eye(1, num_classes))
  return float(losses[0])


def _rank(logits: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
  """The confidence of wrong predictions, and the predicted classes."""
  finite = np.where(np.isfinite(logits), logits, -np.inf)
  predictions = finite.argmax(-1)
  with np.errstate(invalid="ignore"):  # an infinite logit gives NaN
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    confidences = shifted.max(-1) / shifted.sum(-1)
  wrong = predictions != batch["label"]
  return np.where(wrong, confidences, np.nan), predictions


def _predictions(
  probabilities: np.ndarray, class_names: Sequence[str], top: int
) -> list[dict[str, Any]]:
  """The most probable classes."""
  best = np.argsort(-probabilities, kind="stable")[:top]
  return [
    {"class": class_names[i], "probability": float(probabilities[i])}
    for i in best
  ]


def _artifacts(
  evaluation: metrics.Evaluation,
  class_names: Sequence[str],
  ids: Sequence[str],
) -> Artifacts:
  """The confusion matrix and the most confident mistakes."""
  del class_names
  wrong = evaluation.examples
  return Artifacts(
    arrays={
      "confusion": evaluation.sums["confusion"],
      "mistake_images": np.asarray([e.image for e in wrong], np.uint8),
      "mistake_labels": np.asarray([e.label for e in wrong], np.int64),
      "mistake_predictions": np.asarray([e.answer for e in wrong], np.int64),
      "mistake_confidences": np.asarray([e.score for e in wrong], np.float32),
      "mistake_ids": np.asarray(ids, np.str_),
    }
  )
