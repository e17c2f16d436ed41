"""The task of distillation: a student learns to answer as its teachers do.

Batches are {image (b, h, w, c) uint8, label (b,) int32, mask (b,) float32}. The
teachers see the images of the student, after all transforms, in their own
normalisation and resized to their own size, in the same compiled step. Or the
batches have the field "teacher_logits" (b, teachers, k) float32, computed
before. Labels are optional: images without labels have the label -1.

The variables of the teachers are the constants of the task. Without teachers
the task can evaluate a trained student, but not train.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import losses
from jaxvision.metrics import agreement, classification
from jaxvision.tasks import agreement_pages, supervised, teachers
from jaxvision.tasks.contract import Averaging, Batch, Components, Task

Tree = Any
Form = losses.distillation.DistillationLoss

# A student whose loss gives the labels a larger weight memorises the labels,
# another one the answers of its teachers.
_HALF = 0.5


def make(
  components: Components,
  *,
  loss: str = "kl",
  weights: tuple[float, ...] = (),
  **options: Any,
) -> Task:
  """Returns the task of distillation.

  Args:
    components: with teachers, or with their stored logits.
    loss: a name in `losses.distillation`.
    weights: the factor of each teacher's loss; () for 1 / teachers each. With
      factors of 1, the losses of the teachers are summed, as in big_vision.
    **options: of the loss, such as temperature.

  Raises:
    ValueError: a name or an option is unknown, the loss needs labels that the
      data do not have, or a teacher does not fit the student.
  """
  form = losses.distillation.create(loss, **options)
  _check(components, loss, form, weights)
  num_classes, labelled = components.model.num_classes, _is_labelled(components)
  of_labels = (
    losses.distillation.label_weight(form, num_classes=num_classes)
    if labelled
    else 0.0
  )
  names = supervised.class_metrics(num_classes) if labelled else []
  agreements = ["agreement", *(["agreement_top5"] if num_classes > 5 else [])]
  better = [n for n in names if n != "calibration_error"] + agreements
  with_labels = ["label_loss", "teacher_top1"] if labelled else []
  return Task(
    batch=_batch(components),
    init=supervised.make_init(components),
    inputs=supervised.make_inputs(components, _targets(components)),
    loss=_make_loss(components, form, weights, of_labels=of_labels),
    **_make_evaluation(components, form, weights),
    finish=classification.finish,
    logged=("loss", *(["top1"] if labelled else []), "agreement"),
    measured=(*names, *agreements, *with_labels, "loss"),
    best={**dict.fromkeys(better, 1), "loss": -1},
    learnt=("top1" if of_labels > _HALF else "agreement", 1.0),
    untrained=lambda: None,
    answer=lambda logits: jax.nn.softmax(logits.astype(jnp.float32)),
    rank=functools.partial(agreement_pages.rank, labelled),
    predictions=supervised.most_probable,
    artifacts=functools.partial(agreement_pages.artifacts, labelled),
    unlabelled=True,
    constants=_constants(components),
  )


def _constants(components: Components) -> tuple[Tree, ...]:
  """The variables of the teachers that run in the step."""
  if not components.taught.teachers or components.taught.stored:
    return ()
  return (tuple(each.variables for each in components.taught.teachers),)


def _make_teacher_logits(components: Components):
  """(batch, images of the student, *constants) -> logits (t, b, k)."""

  def logits(batch: Batch, images: jax.Array, *constants: Tree) -> jax.Array:
    if components.taught.stored:
      return jnp.swapaxes(batch["teacher_logits"], 0, 1)
    return teachers.logits(
      components.taught.teachers,
      *constants,
      images=images,
      normalization=components.normalization,
    )

  return logits


def _is_labelled(components: Components) -> bool:
  return components.labels != "none"


def _batch(components: Components) -> dict[str, Any]:
  fields = {
    "image": (components.image_shape, np.uint8),
    "label": ((), np.int32),
    "mask": ((), np.float32),
  }
  if count := components.taught.stored:
    shape = (count, components.model.num_classes)
    fields["teacher_logits"] = (shape, np.float32)
  return fields


def _targets(components: Components) -> supervised.Targets:
  """Labels as distributions; zeros for the label -1."""
  return lambda label: jax.nn.one_hot(label, components.model.num_classes)


def _check(
  components: Components,
  loss: str,
  form: Form,
  weights: Sequence[float],
) -> None:
  """Raises ValueError for a loss or a teacher that does not fit."""
  own, count = components.model.num_classes, components.taught.count
  losses.distillation.check(
    form, name=loss, num_classes=own, labelled=_is_labelled(components)
  )
  if weights and count and len(weights) != count:
    raise ValueError(
      f"task.options.weights has {len(weights)} numbers for {count} teachers; "
      "give one for each, or () for equal weights"
    )
  for each in components.taught.teachers:
    if (theirs := each.model.num_classes) != own:
      raise ValueError(
        f"the teacher {each.name} has {theirs} classes, and the student has "
        f"{own}; both must have the classes of the data"
      )


def _label_losses(
  components: Components, outputs: jax.Array, batch: Batch
) -> jax.Array | None:
  """The losses of the labels (b,); None without labels."""
  if not _is_labelled(components):
    return None
  return components.loss(outputs.astype(jnp.float32), batch["targets"])


def _make_losses(components: Components, form: Form, weights: Sequence[float]):
  """(outputs, batch, answers (t, b, k), student=outputs) -> losses (b,).

  `student` is compared with the answers of the teachers, and `outputs` with the
  labels. They differ in models with a distillation token.
  """

  def losses_of(
    outputs: jax.Array,
    batch: Batch,
    answers: jax.Array,
    student: jax.Array | None = None,
  ) -> jax.Array:
    student = outputs if student is None else student
    of_labels = _label_losses(components, outputs, batch)
    shares = weights or (1 / len(answers),) * len(answers)
    return sum(
      share * form(student, answer, of_labels)
      for share, answer in zip(shares, answers, strict=True)
    )

  return losses_of


def _make_loss(
  components: Components,
  form: Form,
  weights: Sequence[float],
  *,
  of_labels: float,
):
  """The masked mean of the loss, with auxiliary losses, plus the penalty."""
  inputs = supervised.make_inputs(components, _targets(components))
  teacher_logits = _make_teacher_logits(components)
  losses_of = _make_losses(components, form, weights)

  def task_loss(params, model_state, batch, key, *constants):
    _check_taught(components)
    raw, (given, batch) = batch, inputs(batch, key)
    answers = teacher_logits(raw, batch["image"], *constants)
    outputs, model_state, sown = supervised.apply_in_training(
      components, params, model_state, batch["image"], key
    )
    token = next(iter(sown[supervised.TOKEN]), None)
    _check_token(token, of_labels)
    main = losses_of(outputs, batch, answers, token)
    sums = _training_sums(components, outputs, answers, given)
    sums["loss"] = supervised.masked_sum(main, batch["mask"])
    minimised = sums["loss"] + components.auxiliary_weight * sum(
      supervised.masked_sum(losses_of(each, batch, answers), batch["mask"])
      for each in sown[supervised.AUXILIARY]
    )
    mean_loss = minimised / jnp.maximum(sums["count"], 1)
    return mean_loss + components.penalty(params), (model_state, sums)

  return task_loss


def _check_taught(components: Components) -> None:
  if not components.taught.count:
    raise ValueError(
      "the task distillation has no teacher; set task.teachers to run folders "
      "or to NAME@FILE of weights"
    )


def _check_token(token: jax.Array | None, of_labels: float) -> None:
  if token is not None and not of_labels:
    raise ValueError(
      "the model has a distillation token, and the loss does not use labels, "
      "so nothing would train the classifier of the class token; set "
      "task.options.loss to deit_hard, deit_soft or hinton and give labels, or "
      "set model.options.distillation_token to False"
    )


def _training_sums(
  components: Components, outputs: jax.Array, answers: jax.Array, batch: Batch
) -> Tree:
  mask = batch["mask"]
  sums = agreement.training_sums(outputs, teachers.together(answers), mask)
  if _is_labelled(components):
    sums |= classification.training_sums(outputs, batch["targets"], mask)
  return sums


def _make_evaluation(
  components: Components, form: Form, weights: Sequence[float]
) -> dict[str, Any]:
  """The fields "evaluate" and "averaging" of the task.

  The outputs are (b, k), or with teachers (b, 2, k): of the student, and of the
  teachers together. Then views are not averaged.
  """
  teacher_logits = _make_teacher_logits(components)
  losses_of = _make_losses(components, form, weights)

  def evaluate(variables: Tree, batch: Batch, *constants: Tree):
    raw = batch
    batch = supervised.with_targets(batch, components, _targets(components))
    outputs = components.model.apply(variables, batch["image"], train=False)
    outputs = outputs.astype(jnp.float32)
    sums = _sums_of_labels(components, outputs, batch)
    if not components.taught.count:
      return sums, outputs
    answers = teacher_logits(raw, batch["image"], *constants)
    together = teachers.together(answers)
    sums |= agreement.sums(outputs, together, batch["mask"])
    sums["loss"] = supervised.masked_sum(
      losses_of(outputs, batch, answers), batch["mask"]
    )
    if _is_labelled(components):
      sums |= _of_both(outputs, together, batch)
    return sums, jnp.stack([outputs, together], axis=1)

  def sums_of(outputs: jax.Array, batch: Batch) -> Tree:
    targets = _targets(components)(batch["label"])
    given = {"targets": targets, "mask": batch["mask"]}
    return _sums_of_labels(components, outputs, given)

  averaging = Averaging(supervised.mean_of_classes, sums_of, evaluate)
  return {
    "evaluate": evaluate,
    "averaging": None if components.taught.count else averaging,
  }


def _sums_of_labels(
  components: Components, outputs: jax.Array, batch: Batch
) -> Tree:
  """The sums of a classifier and "label_loss"; without labels the count."""
  of_labels = _label_losses(components, outputs, batch)
  if of_labels is None:
    return {"count": jnp.sum(batch["mask"].astype(jnp.int32))}
  return {
    **classification.sums(outputs, batch["targets"], batch["mask"]),
    "label_loss": supervised.masked_sum(of_labels, batch["mask"]),
  }


def _of_both(student: jax.Array, teacher: jax.Array, batch: Batch) -> Tree:
  """teacher_top1, and the examples in which both are right, int32."""
  labels, counted = batch["targets"].argmax(-1), batch["mask"].astype(jnp.int32)
  taught, own = (each.argmax(-1) == labels for each in (teacher, student))
  return {
    "teacher_top1": jnp.sum(counted * taught),
    "right": {"both": jnp.sum(counted * taught * own)},
  }
