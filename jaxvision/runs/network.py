"""The network of a run, as described in the run's folder."""

import dataclasses
import pathlib
from typing import Any

from jaxvision.runs import workdir as workdirs


@dataclasses.dataclass(frozen=True)
class Network:
  """The description that the use of a run's variables needs.

  Attributes:
    model: name of the model, as for `models.create`.
    options: options of the model.
    class_names: class names in the order of the logits.
    image_shape: (h, w, c) of the training images.
    evaluated_shape: (h, w, c) of the evaluation images.
    mean, std: of the channels, in units of pixels in [0, 1].
    eval_transforms: calls of the host transforms for evaluation.
    task: name of the task, as for `tasks.create`.
  """

  model: str
  options: dict[str, Any]
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  evaluated_shape: tuple[int, int, int]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  eval_transforms: tuple[str, ...]
  task: str


def read(workdir: str | pathlib.Path) -> Network:
  """Reads the network of a run; a config key that it lacks has its default.

  Raises:
    FileNotFoundError: the folder is not a run, or the training has not started.
    ValueError: a file is damaged, or the config names code that this account
      does not trust.
  """
  config = workdirs.load_config(workdir)
  result = read_result(workdir)
  return Network(
    model=config.model.name,
    options=config.model.options.to_dict(),
    class_names=tuple(result["class_names"]),
    image_shape=tuple(result["image_shape"]),
    evaluated_shape=tuple(result.get("evaluated_shape", result["image_shape"])),
    mean=tuple(config.data.mean),
    std=tuple(config.data.std),
    eval_transforms=tuple(config.data.eval_transforms),
    task=config.task.name,
  )


def read_result(workdir: str | pathlib.Path) -> dict[str, Any]:
  """Reads result.json of a run whose training has started.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: it is damaged: the class names or the image shape are missing.
  """
  again = "run the train command of this run again: it rewrites the file"
  result = workdirs.read_result(workdir)
  if not result:
    checkpoints = pathlib.Path(workdir).glob("checkpoints/*")
    started = any(each.name.isdecimal() for each in checkpoints)
    raise FileNotFoundError(
      f"{workdir} has no result.json; "
      + (again if started else "the run has not started to train")
    )
  for name in ("class_names", "image_shape"):
    if name not in result:
      raise ValueError(
        f"{workdir}/result.json is damaged: {name} is missing; {again}"
      )
  return result
