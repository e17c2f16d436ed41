"""The tasks: each kind of training is one file that implements the contract.

A user-defined task is named "my_task.py:make": a function that takes
`contract.Components` and options, and returns a `contract.Task`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import lookup
from jaxvision.tasks import (
  adversarial,
  captioning,
  classification,
  distillation,
  generated_images,
  multilabel,
  regression,
  teachers,
)
from jaxvision.tasks.contract import Components, Task
from jaxvision.tasks.teachers import UNTAUGHT, Taught, Teacher

TASKS: Mapping[str, Callable[..., Task]] = {
  "adversarial": adversarial.make,
  "captioning": captioning.make,
  "classification": classification.make,
  "distillation": distillation.make,
  "multilabel": multilabel.make,
  "regression": regression.make,
}

# The tasks whose networks have one logit for each class and can be teachers,
# and the tasks that learn from teachers.
CLASSIFYING = ("classification", "distillation")
TAUGHT = ("distillation",)

__all__ = [
  "CLASSIFYING",
  "TASKS",
  "TAUGHT",
  "UNTAUGHT",
  "Components",
  "Task",
  "Taught",
  "Teacher",
  "adversarial",
  "captioning",
  "classification",
  "contract",
  "create",
  "generated_images",
  "options",
  "teachers",
]


def options(name: str) -> dict[str, Any]:
  """Returns the options of a task, with their defaults.

  Raises:
    ValueError: the task is unknown; the message has the nearest names.
  """
  found = lookup.defaults(lookup.find(name, TASKS, kind="task"))
  return {key: each for key, each in found.items() if key != "components"}


def create(name: str, components: Components, **options: Any) -> Task:
  """Makes the task with this name from components.

  Args:
    name: a key of `TASKS`, or "FILE.py:FUNCTION".
    components: the objects of the run.
    **options: keyword arguments of the function that makes the task.

  Raises:
    ValueError: the name or an option is unknown, or the components do not fit.
  """
  make = lookup.find(name, TASKS, kind="task")
  reserved = {"components": "it is made of the other keys"}
  made = lookup.bind(make, options, "task.options", reserved=reserved)
  task = made(components)
  if not isinstance(task, Task):
    raise ValueError(
      f"task {lookup.as_written(name)} returned {type(task).__name__}; "
      "expected jaxvision.tasks.Task"
    )
  return task
