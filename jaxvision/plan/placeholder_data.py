"""The training split of a config, or one that looks like it where it is not.

To compile a step takes the shape of the images, the number of classes and, for
durations in epochs, how many examples there are; but not the examples.
"""

import dataclasses

import numpy as np

from jaxvision import data, models, user_code
from jaxvision.config import ConfigDict
from jaxvision.training.setup import assembly

# Of images for a model of the user's own; the config's transforms resize them.
_SIDE = 256
_EXAMPLES = 10**6  # Epochs only decide when the learning rate changes.


@dataclasses.dataclass(frozen=True)
class Split:
  """What is compiled for.

  Attributes:
    dataset: the split; its images may be black.
    image_shape: (h, w, c) of the model's images.
    missing: why it is not the config's own; "" where it is.
  """

  dataset: data.Dataset
  image_shape: tuple[int, int, int]
  missing: str = ""


def open_split(config: ConfigDict) -> Split:
  """Returns the training split of a config, or a stand-in.

  A stand-in has data.num_classes classes and images of the size that the
  model is made for, to which the config's transforms are applied.

  Raises:
    ValueError: it is needed, and data.num_classes is 0 or the images must lie
      on the device.
  """
  try:
    dataset, missing = assembly.open_splits(_train_only(config))["train"], ""
  except (ValueError, OSError) as error:
    dataset, missing = _black(config, error), str(error)
  batches = assembly.make_batches(config, dataset, train=True)
  return Split(dataset, batches.image_shape, missing)


def _train_only(config: ConfigDict) -> ConfigDict:
  values = config.to_dict()
  values["data"] |= {"validation": "", "test": ""}
  return type(config)(values)


def _black(config: ConfigDict, error: Exception) -> data.Dataset:
  count, name = config.data.num_classes, config.data.name
  if not count:
    raise ValueError(
      f"{error}; to plan without {name!r}, say how many classes it has: "
      "--config.data.num_classes=1000"
    ) from error
  if config.data.placement == "device":
    raise ValueError(
      f"{error}; data.placement is 'device', and how much memory {name!r} "
      "takes there cannot be known without it"
    ) from error
  examples = max(_EXAMPLES, config.train.batch_size)
  if user_code.is_own(config.model.name) and config.data.train_transforms:
    side = _SIDE
  else:
    side = models.spec(config.model.name).image_size
  image = np.zeros((side, side, config.data.channels), np.uint8)
  return data.Dataset(
    name=name,
    split=config.data.train,
    class_names=tuple(map(str, range(count))),
    num_examples=examples,
    ids=lambda indices: [str(i) for i in indices],
    labels=lambda: np.zeros(examples, np.int64),
    read=lambda indices: [(image, 0) for _ in indices],
  )
