"""The classification task: images -> a distribution over classes.

Batches are {image (b, h, w, c) uint8, label (b,) int32, mask (b,) float32}.
Sums are over the examples with mask 1.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxvision import data
from jaxvision.metrics import classification
from jaxvision.tasks import supervised
from jaxvision.tasks.contract import Components, Task, TaskLoss


def make(components: Components, *, real_bit: bool = False) -> Task:
  """Returns the classification task. The targets are distributions.

  Args:
    components: of the run.
    real_bit: whether the model gets the field `generated` (b,) as an argument
      in training: 1 for generated images, else 0. In evaluation all images are
      real.

  Raises:
    ValueError: the model does not have this argument.
  """
  arguments = ("generated",) if real_bit else ()
  for name in arguments:
    _check_argument(components.model, name)
  num_classes = components.model.num_classes
  names = supervised.class_metrics(num_classes)

  def targets(label: jax.Array) -> jax.Array:
    return jax.nn.one_hot(label, num_classes)

  return Task(
    batch={
      "image": (components.image_shape, np.uint8),
      "label": ((), np.int32),
      "mask": ((), np.float32),
      **dict.fromkeys(arguments, ((), np.float32)),
    },
    init=supervised.make_init(components),
    inputs=supervised.make_inputs(components, targets, arguments),
    loss=supervised.make_loss(
      components, targets, classification.training_sums, arguments
    ),
    **supervised.make_evaluation(
      components, targets, classification.sums, supervised.mean_of_classes
    ),
    finish=classification.finish,
    logged=("loss", "top1"),
    measured=(*names, "loss"),
    best={
      **dict.fromkeys([n for n in names if n != "calibration_error"], 1),
      "loss": -1,
    },
    untrained=lambda: _untrained(components.loss, num_classes),
    answer=lambda logits: jax.nn.softmax(logits.astype(jnp.float32)),
    rank=supervised.rank_mistakes,
    predictions=supervised.most_probable,
    artifacts=supervised.show_mistakes,
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


def _check_argument(model: nn.Module, name: str) -> None:
  """Raises ValueError unless the model takes an argument of this name."""
  if name not in inspect.signature(type(model).__call__).parameters:
    raise ValueError(
      f"task.options.real_bit is True, and {type(model).__name__} takes no "
      f"argument {name!r}; set model.name='low_data_densenet', or declare "
      f"`{name}: jax.Array | None = None` in your model"
    )


def _untrained(loss, num_classes: int) -> float:
  """The loss at zero logits: log C for softmax, C - 1 for hinge."""
  losses = loss(jnp.zeros((1, num_classes)), jnp.eye(1, num_classes))
  return float(losses[0])
