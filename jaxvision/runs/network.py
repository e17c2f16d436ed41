"""The network of a run, as the run's folder describes it."""

import dataclasses
import pathlib
from typing import Any

from jaxvision.runs import workdir as workdirs


@dataclasses.dataclass(frozen=True)
class Network:
  """What is needed to use the variables of a run.

  Attributes:
    model: its name, as `models.create` takes it.
    options: of the model.
    class_names: in the order of the logits.
    image_shape: (h, w, c) of the images that it was trained on.
    evaluated_shape: (h, w, c) of the images that it is evaluated on.
    mean, std: of the channels, in units of pixels in [0, 1].
    eval_transforms: of an image before it is evaluated.
  """

  model: str
  options: dict[str, Any]
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  evaluated_shape: tuple[int, int, int]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  eval_transforms: tuple[str, ...]


def read(workdir: str | pathlib.Path) -> Network:
  """Reads the network of a run; keys that it lacks have their defaults.

  Raises:
    FileNotFoundError: it is no run, or has not begun to train.
    ValueError: a file of it is damaged, or it names code that this account
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
  )


def read_result(workdir: str | pathlib.Path) -> dict[str, Any]:
  """result.json of a run that has begun to train.

  Raises:
    FileNotFoundError: it has none.
    ValueError: it is damaged: the classes or the shape of the images are
      missing.
  """
  again = "give the train command of this run again: it is made anew"
  result = workdirs.read_result(workdir)
  if not result:
    checkpoints = pathlib.Path(workdir).glob("checkpoints/*")
    begun = any(each.name.isdecimal() for each in checkpoints)
    raise FileNotFoundError(
      f"{workdir} has no result.json; "
      + (again if begun else "it has not begun to train")
    )
  for name in ("class_names", "image_shape"):
    if name not in result:
      raise ValueError(
        f"{workdir}/result.json is damaged: {name} is missing; {again}"
      )
  return result
