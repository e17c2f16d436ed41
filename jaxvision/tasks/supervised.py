"""Parts of tasks that compare the outputs of one model with targets.

Batches are {image (b, h, w, c) uint8, label (b, ...), mask (b,) float32}. Sums
are over the examples with mask 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data
from jaxvision.optimizers import freezing
from jaxvision.tasks.contract import Batch, Components, Evaluate, TaskLoss

Tree = Any
# label (b, ...) -> targets (b, k) float32
Targets = Callable[[jax.Array], jax.Array]
# (outputs (b, k), targets (b, k), mask (b,)) -> sums
Sums = Callable[[jax.Array, jax.Array, jax.Array], Tree]


def as_float(label: jax.Array) -> jax.Array:
  """The labels as targets, in float32."""
  return label.astype(jnp.float32)


def most_probable(
  probabilities: np.ndarray, class_names: Sequence[str], top: int
) -> list[dict[str, Any]]:
  """The `top` classes with the highest probabilities (k,), highest first."""
  best = np.argsort(-probabilities, kind="stable")[:top]
  return [
    {"class": class_names[i], "probability": float(probabilities[i])}
    for i in best
  ]


def make_init(components: Components) -> Callable[[jax.Array], Tree]:
  """key -> the variables of the model.

  Raises:
    ValueError: the model is a generator and a critic.
  """
  if hasattr(components.model, "generate"):
    raise ValueError(
      f"{type(components.model).__name__} is a generator and a critic, which "
      "have no outputs for labels; set task.name='adversarial', or another "
      "model.name"
    )

  def init(key: jax.Array) -> Tree:
    images = jnp.zeros((1, *components.image_shape), jnp.float32)
    return components.model.init(key, images, train=False)

  return init


def make_inputs(
  components: Components, targets: Targets, arguments: Sequence[str] = ()
):
  """(batch, key) -> (the batch for evaluation, the batch for training).

  Both are {image (b, h, w, c) float32 normalised, targets (b, k), mask (b,)},
  with the fields `arguments`.
  """

  def inputs(batch: Batch, key: jax.Array) -> tuple[Batch, Batch]:
    transform_key, _ = jax.random.split(key)
    given = _with_targets(batch, components, targets)
    given |= {name: batch[name] for name in arguments}
    return given, components.device_transform(transform_key, given)

  return inputs


def make_loss(
  components: Components,
  targets: Targets,
  training_sums: Sums,
  arguments: Sequence[str] = (),
) -> TaskLoss:
  """The masked mean of the loss, with auxiliary losses, plus the penalty.

  The sums are computed from the model's outputs. Their metrics use the labels
  before the transform on the device. `arguments` are fields of the batch that
  the model takes by name in training.
  """
  model = components.model
  inputs = make_inputs(components, targets, arguments)

  def task_loss(params, model_state, batch, key):
    given, batch = inputs(batch, key)
    _, dropout_key = jax.random.split(key)
    is_frozen = freezing.frozen(params, components.learning_rate_rules)
    params = freezing.stop_gradients(params, is_frozen)
    with freezing.keep_statistics(model, is_frozen):
      outputs, model_state = model.apply(
        {"params": params, **model_state},
        batch["image"],
        train=True,
        mutable=[*model_state, "auxiliary"],
        rngs={"dropout": dropout_key},
        **{name: batch[name] for name in arguments},
      )
    model_state = dict(model_state)
    auxiliary = model_state.pop("auxiliary", {})
    sums = training_sums(outputs, given["targets"], given["mask"])
    sums["loss"] = _loss_sum(components, outputs, batch)
    minimised = sums["loss"] + components.auxiliary_weight * sum(
      _loss_sum(components, each, batch) for each in jax.tree.leaves(auxiliary)
    )
    mean_loss = minimised / jnp.maximum(sums["count"], 1)
    return mean_loss + components.penalty(params), (model_state, sums)

  return task_loss


def make_evaluate(
  components: Components, targets: Targets, sums_of: Sums
) -> Evaluate:
  """(variables, batch) -> (sums of all metrics, outputs (b, k))."""

  def evaluate(variables: Tree, batch: Batch) -> tuple[Tree, jax.Array]:
    batch = _with_targets(batch, components, targets)
    outputs = components.model.apply(variables, batch["image"], train=False)
    sums = sums_of(outputs, batch["targets"], batch["mask"])
    sums["loss"] = _loss_sum(components, outputs, batch)
    return sums, outputs.astype(jnp.float32)

  return evaluate


def _with_targets(
  batch: Batch, components: Components, targets: Targets
) -> Batch:
  return {
    "image": data.normalize(batch["image"], components.normalization),
    "targets": targets(batch["label"]),
    "mask": batch["mask"],
  }


def _loss_sum(
  components: Components, outputs: jax.Array, batch: Batch
) -> jax.Array:
  losses = components.loss(outputs.astype(jnp.float32), batch["targets"])
  # `where` instead of a product: a masked example may give NaN.
  return jnp.sum(jnp.where(batch["mask"] > 0, losses, 0.0))
