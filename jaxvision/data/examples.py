"""Decoded examples of a data set; small ones stay in memory.

An image that cannot be read does not stop a run: it is counted, named once in
a warning, and takes no part. Too many of them are an error.
"""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from jaxvision.data import dataset, decoding

# Decoded images are kept if all of the split would fit in this.
_CACHE_BYTES = 2**28
_NAMED = 5  # unreadable images in the message of the error


@dataclasses.dataclass(frozen=True)
class Examples:
  """A data set whose images are decoded as they are asked for.

  Attributes:
    dataset: where they come from.
    channels: of all images, 3 or 1; for arrays, what they have.
    max_unreadable: the share of unreadable images that is tolerated.
    unreadable: index -> reason, of those met so far.
    cache: index -> (image, label), of those kept.
  """

  dataset: dataset.Dataset
  channels: int
  max_unreadable: float
  unreadable: dict[int, str] = dataclasses.field(default_factory=dict)
  cache: dict[int, tuple[np.ndarray | None, int]] = dataclasses.field(
    default_factory=dict, repr=False
  )

  def fetch(
    self, indices: Sequence[int]
  ) -> list[tuple[np.ndarray | None, int]]:
    """Reads and decodes; may be called from many threads.

    Args:
      indices: of examples, Python integers.

    Returns:
      ((h, w, channels) uint8, label) each; (None, 0) for an unreadable one.

    Raises:
      UnreadableImage: more than max_unreadable are.
      ValueError: a label outside the classes, or arrays of other channels.
    """
    missing = [index for index in indices if index not in self.cache]
    if not missing:
      return [self.cache[index] for index in indices]
    fresh = {
      index: self._decode(index, *example)
      for index, example in zip(missing, self._read(missing), strict=True)
    }
    self.cache.update(
      {i: each for i, each in fresh.items() if self._kept(each)}
    )
    return [fresh.get(i) or self.cache[i] for i in indices]

  def _read(
    self, indices: list[int]
  ) -> list[tuple[bytes | np.ndarray | OSError, int]]:
    """As the data set does, but with the error in place of a file."""
    try:
      return self.dataset.read(indices)
    except OSError as error:
      if len(indices) == 1:
        return [(error, 0)]
    return [each for index in indices for each in self._read([index])]

  def _decode(
    self, index: int, image: bytes | np.ndarray | OSError, label: int
  ) -> tuple[np.ndarray | None, int]:
    if not 0 <= label < len(self.dataset.class_names):
      raise ValueError(
        f"{self._id(index)} has the label {label}, outside the "
        f"{len(self.dataset.class_names)} classes; if the labels of this split "
        "are not published, choose another split"
      )
    try:
      if isinstance(image, OSError):
        raise decoding.UnreadableImage(str(image)) from image
      if isinstance(image, bytes):
        return decoding.decode(image, channels=self.channels), label
    except decoding.UnreadableImage as error:
      self._count(index, str(error))
      return None, 0
    if image.shape[2] != self.channels:
      raise ValueError(
        f"the images of {self.dataset.name} have {image.shape[2]} channels, "
        f"data.channels is {self.channels}; set it to {image.shape[2]}"
      )
    return image, label

  def _count(self, index: int, reason: str) -> None:
    # setdefault decides which of several threads names it.
    if self.unreadable.setdefault(index, reason) is not reason:
      return
    logging.getLogger(__name__).warning(
      "unreadable image %s: %s", self._id(index), reason
    )
    total, found = self.dataset.num_examples, dict(self.unreadable)
    if len(found) > self.max_unreadable * total:
      listed = "; ".join(
        f"{self._id(i)}: {why}" for i, why in list(found.items())[:_NAMED]
      )
      raise decoding.UnreadableImage(
        f"{len(found)} of {total} images of {self.dataset.name} "
        f"({self.dataset.split}) are unreadable, more than the share "
        f"data.max_unreadable={self.max_unreadable}: {listed}; remove or "
        "replace them, or raise that share"
      )

  def _kept(self, example: tuple[np.ndarray | None, int]) -> bool:
    # Judged image by image: whatever their sizes, the sum stays below.
    size = 0 if example[0] is None else example[0].nbytes
    return size * self.dataset.num_examples <= _CACHE_BYTES

  def _id(self, index: int) -> str:
    return self.dataset.ids([index])[0]
