"""Teachers: trained networks whose answers a student learns.

A teacher sees the images of its student in its own normalisation and size.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision import data

Tree = Any


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A trained network from which a student learns.

  Attributes:
    name: as in the config, for messages.
    model: called as model(images, train=False) -> logits (b, k).
    variables: of the model, or their shapes.
    normalization: of its pixels.
    image_size: (height, width) of its images.
    class_names: the classes in the order of its logits.
    digest: of the variables, the normalisation and the image size; "" if the
      variables are shapes.
  """

  name: str
  model: nn.Module
  variables: Tree
  normalization: data.Normalization
  image_size: tuple[int, int]
  class_names: tuple[str, ...] = ()
  digest: str = ""


@dataclasses.dataclass(frozen=True)
class Taught:
  """The teachers of a run.

  Attributes:
    teachers: that run in the step.
    stored: number of teachers whose logits are in the batches instead, in the
      field "teacher_logits" (teachers, k) float32.
    digests: of all teachers, by name.
  """

  teachers: tuple[Teacher, ...] = ()
  stored: int = 0
  digests: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def count(self) -> int:
    """The number of teachers, running or stored."""
    return self.stored or len(self.teachers)


UNTAUGHT = Taught()


def logits(
  teachers: Sequence[Teacher],
  variables: Sequence[Tree],
  *,
  images: jax.Array,
  normalization: data.Normalization,
) -> jax.Array:
  """The logits of teachers in evaluation, without gradients.

  Args:
    teachers: of the student.
    variables: of each teacher. They are an argument, because a program should
      not contain them as constants.
    images: (b, h, w, c), normalised for the student.
    normalization: of the student.

  Returns:
    (teachers, b, k) float32.
  """
  answers = [
    _answer(each, own, view(images, each, normalization=normalization))
    for each, own in zip(teachers, variables, strict=True)
  ]
  return jax.lax.stop_gradient(jnp.stack(answers))


def together(answers: jax.Array) -> jax.Array:
  """Log of the mean probability of the teachers: (t, b, k) -> (b, k)."""
  if len(answers) == 1:
    return answers[0]
  log_p = jax.nn.log_softmax(answers)
  return jax.nn.logsumexp(log_p, axis=0) - jnp.log(len(answers))


def view(
  images: jax.Array, teacher: Teacher, *, normalization: data.Normalization
) -> jax.Array:
  """The images of a student as its teacher takes them.

  Args:
    images: (b, h, w, c), normalised for the student.
    teacher: which has its own normalisation and image size.
    normalization: of the student.

  Returns:
    (b, *teacher.image_size, c), resized bilinearly with antialiasing.
  """
  own = teacher.normalization
  if normalization != own:
    mean, std, new_mean, new_std = (
      jnp.asarray(each, jnp.float32).reshape(1, 1, 1, -1)
      for each in (normalization.mean, normalization.std, own.mean, own.std)
    )
    images = (images * std + mean - new_mean) / new_std
  shape = (images.shape[0], *teacher.image_size, images.shape[3])
  if images.shape == shape:
    return images
  return jax.image.resize(images, shape, "bilinear")


class _Inside(nn.Module):
  """A network inside of a module, so that it is not taken for the student."""

  network: nn.Module

  def __call__(self, images: jax.Array) -> jax.Array:
    return self.network(images, train=False)


def _answer(teacher: Teacher, variables: Tree, images: jax.Array) -> jax.Array:
  inside = {name: {"network": tree} for name, tree in variables.items()}
  return _Inside(teacher.model).apply(inside, images).astype(jnp.float32)
