"""The regions of the objects in the images of a data set.

They are the masks of the data, the field "segmentation_mask", or boxes of a
file. A mask is moved with its image by the transforms.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision import data
from jaxvision.evaluation.explanations import pointing_game

FIELD = "segmentation_mask"
FOREGROUND = (128, 255)  # the opaque half of an alpha channel
_OBJECT = 255
_MEASURED_CHANNELS = 3  # of an image whose size is read

Boxes = Mapping[str, Sequence[pointing_game.Box]]


def with_boxes(split: data.Dataset, boxes: Boxes) -> data.Dataset:
  """A split whose masks are made of boxes: 255 inside of a box, else 0.

  The boxes of an image are found by the name of its file, and by its folder
  where the boxes have folders of the images. The mask of an image without boxes
  is empty.

  Args:
    split: any split.
    boxes: from `data.read_boxes`.

  Raises:
    ValueError: no image of the split has a box, or it is not clear to which
      image a box belongs.
  """
  of_images = data.boxes_of(split, boxes)
  if not any(of_images):
    names = data.original_names(split)
    raise ValueError(
      f"none of the {len(names)} images of {split.name} ({split.split}) has a "
      f"box; the first image is {names[0]!r}, and the first box is of "
      f"{next(iter(boxes), 'no image')!r}: give the boxes of these images"
    )
  read = functools.partial(_read, split, tuple(of_images))
  fields = functools.partial(_with_field, split, data.Field("mask", read))
  return dataclasses.replace(split, fields=fields)


def _with_field(
  split: data.Dataset, field: data.Field
) -> dict[str, data.Field]:
  return {**split.fields(), FIELD: field}


def _read(
  split: data.Dataset,
  boxes: Sequence[Sequence[pointing_game.Box]],
  indices: Sequence[int],
) -> list[np.ndarray]:
  """The masks of some images, (h, w) uint8 each."""
  found = []
  for index, (image, _) in zip(indices, split.read(indices), strict=True):
    if isinstance(image, bytes):
      image = data.decode(image, channels=_MEASURED_CHANNELS)
    region = pointing_game.of_boxes(boxes[index], image.shape[:2])
    found.append(np.where(region, _OBJECT, 0).astype(np.uint8))
  return found


def regions(masks: np.ndarray, *, foreground: tuple[int, int]) -> np.ndarray:
  """The regions of masks, (b, h, w) bool.

  Args:
    masks: (b, h, w, 1) uint8.
    foreground: the least and the largest value of the object.
  """
  least, most = foreground
  values = masks[..., 0]
  return (values >= least) & (values <= most)
