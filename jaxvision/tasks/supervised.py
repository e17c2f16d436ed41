"""Parts of tasks that compare the outputs of one model with targets.

Batches are {image (b, h, w, c) uint8, label (b, ...), mask (b,) float32}. Sums
are over the examples with mask 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, metrics, models
from jaxvision.metrics import classification
from jaxvision.optimizers import freezing
from jaxvision.tasks.contract import (
  Artifacts,
  Averaging,
  Batch,
  Components,
  TaskLoss,
)

Tree = Any
# label (b, ...) -> targets (b, k) float32
Targets = Callable[[jax.Array], jax.Array]
# (outputs (b, k), targets (b, k), mask (b,)) -> sums
Sums = Callable[[jax.Array, jax.Array, jax.Array], Tree]

# outputs of v views (b, v, k) -> outputs (b, k)
Mean = Callable[[jax.Array], jax.Array]

# The collections into which a model sows further logits in training: those of
# auxiliary classifiers, and those of a distillation token.
AUXILIARY, TOKEN = "auxiliary", "distillation"


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
  if models.is_pair(components.model):
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
    given = with_targets(batch, components, targets)
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
  the model takes by name in training. A model with a distillation token is
  refused: nothing would train the classifier of the token.
  """
  inputs = make_inputs(components, targets, arguments)

  def task_loss(params, model_state, batch, key):
    given, batch = inputs(batch, key)
    outputs, model_state, sown = apply_in_training(
      components,
      params,
      model_state,
      batch["image"],
      key,
      **{name: batch[name] for name in arguments},
    )
    _check_no_token(sown)
    sums = training_sums(outputs, given["targets"], given["mask"])
    sums["loss"] = _loss_sum(components, outputs, batch)
    minimised = sums["loss"] + components.auxiliary_weight * sum(
      _loss_sum(components, each, batch) for each in sown[AUXILIARY]
    )
    mean_loss = minimised / jnp.maximum(sums["count"], 1)
    return mean_loss + components.penalty(params), (model_state, sums)

  return task_loss


def _check_no_token(sown: dict[str, list[jax.Array]]) -> None:
  if sown[TOKEN]:
    raise ValueError(
      "the model has a distillation token, whose classifier learns from a "
      "teacher, and the task has no teachers; set "
      "model.options.distillation_token to False, or task.name to "
      "'distillation' and task.teachers"
    )


def apply_in_training(
  components: Components,
  params: Tree,
  model_state: Tree,
  images: jax.Array,
  key: jax.Array,
  **arguments: jax.Array,
) -> tuple[jax.Array, Tree, dict[str, list[jax.Array]]]:
  """Applies the model in training, without a gradient of frozen parameters.

  Args:
    components: of the task.
    params, model_state: of the model.
    images: (b, h, w, c), normalised.
    key: of the step.
    **arguments: further arguments of the model.

  Returns:
    The outputs, the new model_state, and the logits that the model has sown
    into the collections AUXILIARY and TOKEN.
  """
  _, dropout_key = jax.random.split(key)
  is_frozen = freezing.frozen(params, components.learning_rate_rules)
  params = freezing.stop_gradients(params, is_frozen)
  with freezing.keep_statistics(components.model, is_frozen):
    outputs, state = components.model.apply(
      {"params": params, **model_state},
      images,
      train=True,
      mutable=[*model_state, AUXILIARY, TOKEN],
      rngs={"dropout": dropout_key},
      **arguments,
    )
  state = dict(state)
  sown = {
    name: jax.tree.leaves(state.pop(name, {})) for name in (AUXILIARY, TOKEN)
  }
  return outputs, state, sown


def make_evaluation(
  components: Components, targets: Targets, sums_of: Sums, mean: Mean
) -> dict[str, Any]:
  """The evaluation of a task, of an image and of its views.

  Args:
    components: of the task.
    targets: of the task.
    sums_of: the sums of all metrics except the loss.
    mean: of the outputs of several views.

  Returns:
    The fields "evaluate" and "averaging" of the task.
  """

  def sums(outputs: jax.Array, batch: Batch) -> Tree:
    given = {"targets": targets(batch["label"]), "mask": batch["mask"]}
    found = sums_of(outputs, given["targets"], given["mask"])
    found["loss"] = _loss_sum(components, outputs, given)
    return found

  def evaluate(variables: Tree, batch: Batch) -> tuple[Tree, jax.Array]:
    images = data.normalize(batch["image"], components.normalization)
    outputs = components.model.apply(variables, images, train=False)
    return sums(outputs, batch), outputs.astype(jnp.float32)

  averaging = Averaging(mean=mean, sums=sums, evaluate=evaluate)
  return {"evaluate": evaluate, "averaging": averaging}


def mean_of_classes(logits: jax.Array) -> jax.Array:
  """The logits (b, k) of the mean softmax probabilities of views (b, v, k).

  They are the logarithms of the means, so their softmax is the mean. The mean
  log-sum of the logits is added, which no probability depends on. So equal
  views have their own logits as mean, for a loss that is no function of
  probabilities.
  """
  logits = logits.astype(jnp.float32)
  scale = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
  total = jax.nn.logsumexp(logits - scale, axis=1)
  return total - np.log(logits.shape[1]) + jnp.mean(scale, axis=1)


def mean_of_sets(logits: jax.Array) -> jax.Array:
  """The logits (b, k) of the mean sigmoid probabilities of views (b, v, k)."""
  logits = logits.astype(jnp.float32)
  present, absent = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  return jax.nn.logsumexp(present, axis=1) - jax.nn.logsumexp(absent, axis=1)


def mean_of_numbers(outputs: jax.Array) -> jax.Array:
  """The mean (b, k) of the outputs of views (b, v, k)."""
  return jnp.mean(outputs.astype(jnp.float32), axis=1)


def class_metrics(num_classes: int) -> list[str]:
  """The names of the metrics of classifiers, without the loss."""
  logits = jax.ShapeDtypeStruct((1, num_classes), np.float32)
  mask = jax.ShapeDtypeStruct((1,), np.float32)
  shapes = jax.eval_shape(classification.sums, logits, logits, mask)
  ones = jax.tree.map(lambda each: np.ones(each.shape, int), shapes)
  return list(classification.finish(ones))


def rank_mistakes(
  logits: np.ndarray, batch: Batch
) -> tuple[np.ndarray, np.ndarray]:
  """The confidence of wrong predictions, and the predicted classes."""
  finite = np.where(np.isfinite(logits), logits, -np.inf)
  predictions = finite.argmax(-1)
  with np.errstate(invalid="ignore"):  # an infinite logit gives NaN
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    confidences = shifted.max(-1) / shifted.sum(-1)
  wrong = predictions != batch["label"]
  return np.where(wrong, confidences, np.nan), predictions


def show_mistakes(
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


def with_targets(
  batch: Batch, components: Components, targets: Targets
) -> Batch:
  """{image (b, h, w, c) float32 normalised, targets (b, k), mask (b,)}."""
  return {
    "image": data.normalize(batch["image"], components.normalization),
    "targets": targets(batch["label"]),
    "mask": batch["mask"],
  }


def _loss_sum(
  components: Components, outputs: jax.Array, batch: Batch
) -> jax.Array:
  losses = components.loss(outputs.astype(jnp.float32), batch["targets"])
  return masked_sum(losses, batch["mask"])


def masked_sum(losses: jax.Array, mask: jax.Array) -> jax.Array:
  """The sum of losses (b,) over the examples with mask 1."""
  # `where` instead of a product: a masked example may give NaN.
  return jnp.sum(jnp.where(mask > 0, losses, 0.0))
