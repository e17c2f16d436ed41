"""The teachers of a run, which run in the step or have stored logits."""

import dataclasses
import functools

from jax.sharding import Mesh

from jaxvision import data, tasks, user_code
from jaxvision.config import ConfigDict
from jaxvision.downloads import redaction
from jaxvision.tasks import UNTAUGHT, Taught, Teacher
from jaxvision.training.setup import stored_logits, teachers


def open_teachers(
  config: ConfigDict,
  splits: dict[str, data.Dataset],
  mesh: Mesh,
  *,
  here: bool,
  shared: Taught | None = None,
) -> tuple[Taught, dict[str, data.Dataset]]:
  """The teachers of a config, and the splits with their classes and logits.

  Splits without labels get the classes of the teachers. With stored logits, the
  splits get a field for them.

  Args:
    config: of the run.
    splits: by role.
    mesh: of the run.
    here: whether the devices are attached; otherwise no arrays are made.
    shared: the teachers of a run with the same keys, which are reused.

  Raises:
    FileNotFoundError, ConnectionError, OSError, ValueError: as `teachers.load`,
      and for keys that do not fit each other.
  """
  _check(config)
  if not config.task.teachers:
    return UNTAUGHT, splits
  class_names = splits["train"].class_names
  load = functools.cache(
    lambda: (
      shared.teachers
      if shared and shared.teachers
      else teachers.load(config, mesh, here=here)
    )
  )
  if splits["train"].label_kind == "none":
    splits = _named(splits, load())
    class_names = splits["train"].class_names
  if not config.task.teacher_logits:
    teachers.check_classes(load(), class_names)
    digests = {each.name: each.digest for each in load()}
    return Taught(load(), 0, digests), splits
  count = len(config.task.teachers)
  if not here:
    splits = stored_logits.with_zeros(splits, count, len(class_names))
    return Taught((), count), splits

  def load_checked() -> tuple[Teacher, ...]:
    teachers.check_classes(load(), class_names)
    return load()

  splits, digests = stored_logits.open_or_make(
    config, splits, mesh, load_checked, compared=shared is not None
  )
  return Taught((), count, digests), splits


def _check(config: ConfigDict) -> None:
  task, is_own = config.task, user_code.is_own(config.task.name)
  if task.name in tasks.TAUGHT and not task.teachers:
    raise ValueError(
      f"task.name is {task.name!r}, and task.teachers is empty; name the "
      "teachers: run folders, or NAME@FILE of weights"
    )
  if task.teachers and task.name not in tasks.TAUGHT and not is_own:
    named = tuple(map(redaction.without_secrets, task.teachers))
    raise ValueError(
      f"task.teachers is {named!r}, and task.name is {task.name!r}, which has "
      f"no teachers; set task.name to {' or '.join(tasks.TAUGHT)}"
    )
  if task.teacher_logits and not task.teachers:
    raise ValueError(
      f"task.teacher_logits is {task.teacher_logits!r}, and task.teachers is "
      "empty; name the teachers"
    )


def _named(
  splits: dict[str, data.Dataset], taught: tuple[Teacher, ...]
) -> dict[str, data.Dataset]:
  """Splits without labels, with the classes of the first teacher."""
  first = taught[0]
  names = first.class_names or tuple(map(str, range(first.model.num_classes)))
  return {
    role: dataclasses.replace(split, class_names=names)
    for role, split in splits.items()
  }
