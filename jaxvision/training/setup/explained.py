"""The check of evaluate.explain, the method that explains the mistakes."""

import flax.linen as nn

from jaxvision import interpret, tasks, user_code
from jaxvision.config import ConfigDict

# The first method that fits, within a limit of costs.
AUTO = "auto"


def check(
  config: ConfigDict, model: nn.Module, *, image_shape: tuple[int, int, int]
) -> None:
  """Raises ValueError unless evaluate.explain fits the task and the model.

  Args:
    config: of the run.
    model: of the run.
    image_shape: (h, w, c) of the evaluation images.
  """
  method, task = config.evaluate.explain, config.task.name
  if method in ("", AUTO):
    return
  if user_code.is_own(method):
    raise ValueError(
      f"evaluate.explain is {method!r}, and it takes methods of jaxvision "
      "only; leave it out, and explain the run with your own method by "
      "`jaxvision explain`"
    )
  if task not in tasks.CLASSIFYING and not user_code.is_own(task):
    raise ValueError(
      f"evaluate.explain is {method!r}, and the task {task} does not predict "
      "one class for each image; leave it out"
    )
  if interpret.method_name(method) in interpret.OF_NO_CLASS:
    raise ValueError(
      f"evaluate.explain is {method!r}, whose map is the same for every class, "
      "and the report compares the maps of two classes; use a method that "
      f"depends on the class, such as {interpret.PREFERRED_BY_CLASS[0]!r}"
    )
  try:
    interpret.check_methods((method,), model, image_shape=image_shape)
  except ValueError as error:
    raise ValueError(f"evaluate.explain: {error}") from error
