"""The training split of a config, or a placeholder if the data are missing.

To compile a step, only the shape of the images, the number of classes and (for
durations in epochs) the number of examples are needed.
"""

import dataclasses

import numpy as np

from jaxvision import data, models, user_code
from jaxvision.config import ConfigDict
from jaxvision.training import setup

# Image size for the user's own models; the config's transforms resize it.
_SIDE = 256
_EXAMPLES = 10**6  # Epochs affect only the learning-rate schedule.


@dataclasses.dataclass(frozen=True)
class Split:
  """The training split for the compilation.

  Attributes:
    dataset: the split; a placeholder has black images.
    image_shape: (h, w, c) of the model's images.
    missing: why it is a placeholder; "" if it is the config's own split.
  """

  dataset: data.Dataset
  image_shape: tuple[int, int, int]
  missing: str = ""


def open_split(config: ConfigDict) -> Split:
  """Opens the training split of a config, or a placeholder.

  A placeholder has data.num_classes classes and black images of the model's
  native size, and the config's transforms are applied.

  Raises:
    ValueError: a placeholder is needed, and data.num_classes is 0 or
      data.placement is "device".
  """
  try:
    dataset, missing = setup.open_splits(_train_only(config))["train"], ""
  except (ValueError, OSError) as error:
    dataset, missing = _black(config, error), str(error)
  batches = setup.make_batches(config, dataset, train=True)
  return Split(dataset, batches.image_shape, missing)


def _train_only(config: ConfigDict) -> ConfigDict:
  values = config.to_dict()
  values["data"] |= {"validation": "", "test": ""}
  return type(config)(values)


def _black(config: ConfigDict, error: Exception) -> data.Dataset:
  count, name = config.data.num_classes, config.data.name
  if not count:
    raise ValueError(
      f"{error}; to plan without {name!r}, give its number of classes: "
      "--config.data.num_classes=1000"
    ) from error
  if config.data.placement == "device":
    raise ValueError(
      f"{error}; data.placement is 'device', so the plan needs the data set "
      f"{name!r} to know its memory; prepare it, or use another placement"
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
    fields=lambda: {
      "segmentation_mask": data.Field(
        "mask", lambda indices: [image[..., 0]] * len(indices)
      ),
      "caption": data.Field(
        "text", lambda indices: ["a caption"] * len(indices)
      ),
    },
  )
