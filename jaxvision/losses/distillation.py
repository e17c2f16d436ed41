"""Losses of distillation: a student is trained to answer as a teacher does.

A loss takes the logits of the student and of the teacher, (b, k), and the loss
of the labels, (b,) or None. It returns (b,) float32, not reduced. The loss of
the labels is an argument, so any loss of labels can be combined with a teacher,
also with smoothed or mixed labels. Logits may have a lower precision.

p(T) = softmax(z / T) has the temperature T. The teacher's logits get no
gradient. There are four conventions for the two terms, each with its own name:

  hinton         (1 - alpha) label_loss + alpha T^2 KL(p_t(T) || p_s(T))
  bag_of_tricks  hard_weight label_loss
                 + (1 - hard_weight) T^2 CE(p_t(T), p_s(T))
  kl             T^2 KL(p_t(T) || p_s(T)), without labels
  deit_soft      as hinton, with the values of DeiT

The factor T^2 keeps the size of the gradient. CE is KL plus the entropy of
p_t(T), which has no gradient and grows with T.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvision import lookup
from jaxvision.lookup import ranges

# (student (b, k), teacher (b, k), label_loss (b,) or None) -> (b,)
DistillationLoss = Callable[[jax.Array, jax.Array, jax.Array | None], jax.Array]

_SMALL = 1e-12  # under the root, so that its gradient at 0 is finite


def create(name: str, **options: Any) -> DistillationLoss:
  """Returns the loss with this name, with its options bound.

  Args:
    name: a key of `LOSSES`, or "FILE.py:FUNCTION" for the user's own loss.
    **options: keyword arguments of the loss.

  Raises:
    ValueError: the name or an option is unknown.
  """
  given = dict.fromkeys(
    ("student", "teacher", "label_loss"), "it comes with the batch"
  )
  function = lookup.find(name, LOSSES, kind="loss of distillation")
  return lookup.bind(function, options, "task.options", reserved=given)


def check(
  loss: DistillationLoss, *, name: str, num_classes: int, labelled: bool
) -> None:
  """Raises ValueError unless a loss has one value per example.

  Args:
    loss: from `create`.
    name: of the loss, for the message.
    num_classes: of the logits.
    labelled: whether the images have labels. A loss that needs them raises
      ValueError.
  """
  shape = (2, num_classes)
  logits = jax.ShapeDtypeStruct(shape, jnp.float32)
  given = (jax.ShapeDtypeStruct(shape[:1], jnp.float32),) if labelled else ()
  found = jax.eval_shape(
    lambda student, teacher, *of_labels: loss(
      student, teacher, *(of_labels or (None,))
    ),
    *(logits, logits, *given),
  )
  if getattr(found, "shape", None) != shape[:1]:
    shown = getattr(found, "shape", type(found).__name__)
    raise ValueError(
      f"the loss {lookup.as_written(name)} returned {shown} for logits of the "
      f"shape {shape}; expected one value per example, {shape[:1]}"
    )


def label_weight(loss: DistillationLoss, *, num_classes: int) -> float:
  """The factor of the loss of the labels in a loss; 0 if it is not used.

  Args:
    loss: from `create`.
    num_classes: of the logits.
  """
  student = jnp.zeros((1, num_classes))
  teacher = jnp.arange(num_classes, dtype=jnp.float32)[None]

  @jax.jit
  @jax.grad
  def derivative(label_loss: jax.Array) -> jax.Array:
    return loss(student, teacher, label_loss[None])[0]

  return float(derivative(jnp.ones(())))


def hinton(
  student: jax.Array,
  teacher: jax.Array,
  label_loss: jax.Array | None,
  *,
  temperature: ranges.Positive = 2.0,
  alpha: ranges.Probability = 0.5,
) -> jax.Array:
  """Returns (1 - alpha) label_loss + alpha T^2 KL(p_t(T) || p_s(T)), (b,).

  Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2.
  For a large T, T^2 KL is the squared distance of the centred logits, divided
  by 2 k.

  Args:
    student, teacher: (b, k), logits.
    label_loss: (b,); None if alpha is 1.
    temperature: T.
    alpha: the weight of the teacher; 1 does not use labels.
  """
  soft = kl(student, teacher, None, temperature=temperature)
  return _mixed(label_loss, soft, share=alpha, name="hinton")


def bag_of_tricks(
  student: jax.Array,
  teacher: jax.Array,
  label_loss: jax.Array | None,
  *,
  temperature: ranges.Positive = 20.0,
  hard_weight: ranges.Probability = 0.5,
) -> jax.Array:
  """Returns w label_loss + (1 - w) T^2 CE(p_t(T), p_s(T)) in nats, (b,).

  The authors' code of He et al. 2019, Bag of Tricks for Image Classification,
  section 5.3 (gluon-cv: T = 20, w = 0.5). The cross-entropy contains the
  entropy of the teacher, so the loss is about T^2 log k even for a student that
  equals its teacher.

  Args:
    student, teacher: (b, k), logits.
    label_loss: (b,); None if hard_weight is 0.
    temperature: T.
    hard_weight: w, the weight of the labels.
  """
  soft = temperature**2 * optax.softmax_cross_entropy(
    _f32(student) / temperature, jax.nn.softmax(_fixed(teacher) / temperature)
  )
  return _mixed(label_loss, soft, share=1 - hard_weight, name="bag_of_tricks")


def kl(
  student: jax.Array,
  teacher: jax.Array,
  label_loss: jax.Array | None,
  *,
  temperature: ranges.Positive = 1.0,
) -> jax.Array:
  """Returns T^2 KL(p_t(T) || p_s(T)) in nats, (b,); labels are not used.

  Beyer et al. 2021, Knowledge distillation: A good teacher is patient and
  consistent (big_vision, `kl`).

  Args:
    student, teacher: (b, k), logits.
    label_loss: not used.
    temperature: T.
  """
  del label_loss
  log_p, log_target = (
    jax.nn.log_softmax(logits / temperature)
    for logits in (_f32(student), _fixed(teacher))
  )
  found = optax.losses.kl_divergence_with_log_targets(log_p, log_target)
  return temperature**2 * found


def l2(
  student: jax.Array, teacher: jax.Array, label_loss: jax.Array | None
) -> jax.Array:
  """Returns sum_i (s_i - t_i)^2 of the logits, (b,); labels are not used."""
  del label_loss
  return jnp.sum(jnp.square(_f32(student) - _fixed(teacher)), axis=-1)


def euclidean(
  student: jax.Array, teacher: jax.Array, label_loss: jax.Array | None
) -> jax.Array:
  """Returns the root of `l2` plus 1e-12, (b,); labels are not used."""
  return jnp.sqrt(l2(student, teacher, label_loss) + _SMALL)


def logsoftmax_euclidean(
  student: jax.Array, teacher: jax.Array, label_loss: jax.Array | None
) -> jax.Array:
  """Returns `euclidean` of the log-probabilities; labels are not used."""
  normalized = map(jax.nn.log_softmax, (_f32(student), _fixed(teacher)))
  return euclidean(*normalized, label_loss)


def hard(
  student: jax.Array,
  teacher: jax.Array,
  label_loss: jax.Array | None,
  *,
  smoothing: ranges.Rate = 0.0,
) -> jax.Array:
  """Returns CE(class of the teacher, p_s) in nats, (b,); no labels are used.

  Args:
    student, teacher: (b, k), logits.
    label_loss: not used.
    smoothing: the share of the target that is divided over the other k - 1
      classes.
  """
  del label_loss
  count = teacher.shape[-1]
  chosen = jax.nn.one_hot(jnp.argmax(teacher, axis=-1), count)
  others = smoothing / max(count - 1, 1)
  targets = (1 - smoothing) * chosen + others * (1 - chosen)
  return optax.softmax_cross_entropy(_f32(student), targets)


def deit_soft(
  student: jax.Array,
  teacher: jax.Array,
  label_loss: jax.Array | None,
  *,
  temperature: ranges.Positive = 3.0,
  weight: ranges.Probability = 0.1,
) -> jax.Array:
  """Returns (1 - l) label_loss + l T^2 KL(p_t(T) || p_s(T)), (b,).

  Touvron et al. 2020, Training data-efficient image transformers, equation 2.
  With a distillation token, `student` are the logits of this token and
  `label_loss` is that of the class token.

  Args:
    student, teacher: (b, k), logits.
    label_loss: (b,); None if weight is 1.
    temperature: T.
    weight: l, the weight of the teacher.
  """
  soft = kl(student, teacher, None, temperature=temperature)
  return _mixed(label_loss, soft, share=weight, name="deit_soft")


def deit_hard(
  student: jax.Array, teacher: jax.Array, label_loss: jax.Array | None
) -> jax.Array:
  """Returns label_loss / 2 + CE(class of the teacher, p_s) / 2, (b,).

  Touvron et al. 2020, equation 3. With a distillation token, as `deit_soft`.

  Args:
    student, teacher: (b, k), logits.
    label_loss: (b,).
  """
  chosen = hard(student, teacher, None)
  return _mixed(label_loss, chosen, share=0.5, name="deit_hard")


LOSSES: Mapping[str, Callable[..., jax.Array]] = {
  "hinton": hinton,
  "bag_of_tricks": bag_of_tricks,
  "kl": kl,
  "l2": l2,
  "euclidean": euclidean,
  "logsoftmax_euclidean": logsoftmax_euclidean,
  "hard": hard,
  "deit_soft": deit_soft,
  "deit_hard": deit_hard,
}


def _mixed(
  label_loss: jax.Array | None, taught: jax.Array, *, share: float, name: str
) -> jax.Array:
  """(1 - share) label_loss + share taught."""
  if label_loss is not None:
    return (1 - share) * label_loss + share * taught
  if share != 1:
    raise ValueError(
      f"the loss {name} gives the labels a weight of {1 - share:.3g}, and the "
      "images have no labels; use kl, or give all weight to the teacher"
    )
  return taught


def _fixed(teacher: jax.Array) -> jax.Array:
  """The teacher's logits, float32 and without a gradient."""
  return jax.lax.stop_gradient(_f32(teacher))


def _f32(logits: jax.Array) -> jax.Array:
  return logits.astype(jnp.float32)
