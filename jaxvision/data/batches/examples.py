"""Transformed examples of a data set, with a cache of small decoded images.

An unreadable image does not stop a run. It is counted and named once in a
warning. Too many unreadable images are an error. filling.py decides what
replaces them.
"""

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.batches import fields as asked
from jaxvision.data.decoding import resizing, unreadable
from jaxvision.data.transforms import host

# Bytes. Decoded images are cached if the complete split would fit.
_CACHE_BYTES = 2**28
# Number of files that are read together, because sources on disk are then
# faster. With a larger number, their memory is returned to the system and
# allocated again each time.
_READ = 8
_NAMED = 5  # unreadable images in the message of the error

Label = int | np.ndarray
Values = dict[str, np.ndarray]
# The image, or the reason why it is unreadable, the label, and the fields.
Fetched = tuple[np.ndarray | decoding.UnreadableImage, Label, Values]


@dataclasses.dataclass(frozen=True)
class Examples:
  """A data set whose images are decoded and transformed on demand.

  Attributes:
    dataset: the source of the examples.
    transform: the host transform of one image.
    channels: of all images, 3 or 1; for arrays, their number of channels.
    max_unreadable: maximum fraction of unreadable images.
    max_pixels: maximum number of pixels of an image.
    fields: what is read beside image and label.
    unreadable: index -> reason of each unreadable image found so far.
    cache: index -> (decoded image, label, decoded fields) of each cached
      example.
  """

  dataset: dataset.Dataset
  transform: host.HostTransform
  channels: int
  max_unreadable: float
  max_pixels: int = unreadable.MAX_PIXELS
  fields: tuple[asked.Asked, ...] = ()
  unreadable: dict[int, str] = dataclasses.field(default_factory=dict)
  cache: dict[int, tuple[np.ndarray, Label, Values]] = dataclasses.field(
    default_factory=dict, repr=False
  )

  @property
  def visible(self) -> list[asked.Asked]:
    """The fields that are part of a batch."""
    return [each for each in self.fields if not each.hidden]

  @property
  def masks(self) -> list[str]:
    """The names of the fields that are masks, hidden ones too."""
    return [each.name for each in self.fields if each.kind == "mask"]

  def fetch(
    self, indices: Sequence[int], rngs: Sequence[np.random.Generator | None]
  ) -> Iterator[Fetched]:
    """Reads, decodes and transforms examples; thread-safe.

    Args:
      indices: of the examples, Python integers.
      rngs: the random generator of each transform; None if it is not random.

    Yields:
      ((h, w, channels) uint8, label, fields) for each example; (the error, 0,
      {}) for an unreadable image, which is not counted here. Each image is
      decoded when it is requested.

    Raises:
      ValueError: a label outside the classes, or another number of channels.
    """
    pairs = list(zip(indices, rngs, strict=True))
    for first in range(0, len(pairs), _READ):
      yield from self._fetch_block(pairs[first : first + _READ])

  def count(self, found: Mapping[int, str]) -> None:
    """Counts unreadable images, and warns of each new one.

    Args:
      found: index -> reason.

    Raises:
      UnreadableImage: the fraction exceeds max_unreadable.
    """
    new = {i: why for i, why in found.items() if i not in self.unreadable}
    self.unreadable.update(new)
    for index, reason in new.items():
      logging.getLogger(__name__).warning(
        "unreadable image %s: %s", self._id(index), reason
      )
    self.check(dict(self.unreadable))

  def check(self, found: Mapping[int, str]) -> None:
    """Raises UnreadableImage if the fraction exceeds max_unreadable."""
    total = self.dataset.num_examples
    if len(found) > self.max_unreadable * total:
      listed = "; ".join(
        f"{self._id(i)}: {why}" for i, why in list(found.items())[:_NAMED]
      )
      raise decoding.UnreadableImage(
        f"{len(found)} of {total} images of {self.dataset.name} "
        f"({self.dataset.split}) are unreadable, more than the fraction "
        f"data.max_unreadable={self.max_unreadable}: {listed}; remove or "
        "replace them, or increase data.max_unreadable"
      )

  def _fetch_block(
    self, pairs: Sequence[tuple[int, np.random.Generator | None]]
  ) -> Iterator[Fetched]:
    missing = [index for index, _ in pairs if index not in self.cache]
    read = dict(zip(missing, self._read(missing), strict=True))
    for index, rng in pairs:
      if index in read:
        yield self._transformed(index, *read[index], rng)
      else:
        image, label, values = self.cache[index]
        yield self._apply(self.transform, rng, image, label, values)

  def _read(
    self, indices: list[int]
  ) -> list[
    tuple[bytes | np.ndarray | OSError | MemoryError, Label, Sequence[Any]]
  ]:
    """Reads files; an unreadable file is replaced by its error."""
    if not indices:
      return []
    try:
      found = self.dataset.read(indices)
      columns = [each.read(indices) for each in self.fields]
    except (OSError, MemoryError) as error:
      if len(indices) == 1:
        return [(error, 0, ())]
      return [each for index in indices for each in self._read([index])]
    rows = zip(*columns, strict=True) if columns else itertools.repeat(())
    return [(*each, row) for each, row in zip(found, rows, strict=False)]

  def _transformed(
    self,
    index: int,
    image: bytes | np.ndarray | OSError | MemoryError,
    label: Label,
    given: Sequence[Any],
    rng: np.random.Generator | None,
  ) -> Fetched:
    if isinstance(image, OSError | MemoryError):
      return unreadable.from_failure(image), 0, {}
    self._check_label(index, label)
    try:
      values = {
        each.name: each.decode(value, max_pixels=self.max_pixels)
        for each, value in zip(self.fields, given, strict=True)
      }
      return self._decoded(index, image, label, values, rng)
    except Exception as error:
      if unreadable.is_of_image(error):
        return unreadable.from_failure(error), 0, {}
      if type(error) is ValueError:
        raise ValueError(f"{self._id(index)}: {error}") from error
      raise

  def _check_label(self, index: int, label: Label) -> None:
    count = len(self.dataset.class_names)
    if self.dataset.label_kind == "none":
      return
    if self.dataset.label_kind == "classes":
      if not 0 <= label < count:
        raise ValueError(
          f"{self._id(index)} has the label {label}, outside the {count} "
          "classes; if the labels of this split are not published, choose "
          "another split"
        )
    elif np.shape(label) != (count,) or not np.isfinite(label).all():
      raise ValueError(
        f"{self._id(index)} has the label {label!r}; expected an array of "
        f"{count} finite numbers, one for each of {self.dataset.class_names}"
      )

  def _decoded(
    self,
    index: int,
    image: bytes | np.ndarray,
    label: Label,
    values: Values,
    rng: np.random.Generator | None,
  ) -> Fetched:
    """The transformed example; caches the decoded one if it is small."""
    if isinstance(image, bytes):
      if self.transform.head is not None and decoding.is_jpeg(image):
        return self._resampled(image, label, values, rng)
      image = decoding.decode(
        image, channels=self.channels, max_pixels=self.max_pixels
      )
    elif image.shape[2] != self.channels:
      raise ValueError(
        f"the images of {self.dataset.name} have {image.shape[2]} channels, "
        f"but data.channels is {self.channels}; set it to {image.shape[2]}"
      )
    for name in self.masks:
      asked.check_size(name, values[name], image.shape)
    # Decided for each image: the sum stays below the limit for any sizes.
    size = image.nbytes + sum(each.nbytes for each in values.values())
    if size * self.dataset.num_examples <= _CACHE_BYTES:
      self.cache[index] = image, label, values
    return self._apply(self.transform, rng, image, label, values)

  def _resampled(
    self,
    image: bytes,
    label: Label,
    values: Values,
    rng: np.random.Generator | None,
  ) -> Fetched:
    """Decodes the part of a JPEG that the first transform needs.

    It is not cached: region and resolution depend on the rng. Masks are
    resampled in the same region.
    """
    head, used = self.transform.head, []

    def region(
      rng: np.random.Generator | None, shape: tuple[int, int]
    ) -> resizing.Region:
      used.append((shape, head.region(rng, shape)))
      return used[-1][1]

    names = self.masks
    part = decoding.decode_resampled(
      image,
      dataclasses.replace(head, region=region) if names else head,
      rng=rng,
      channels=self.channels,
      max_pixels=self.max_pixels,
    )
    for name in names:
      shape, found = used[-1]
      asked.check_size(name, values[name], shape)
      moved = resizing.resample(values[name], found, method="nearest")
      values = {**values, name: moved}
    return self._apply(self.transform.tail, rng, part, label, values)

  def _apply(
    self,
    transform: host.HostTransform,
    rng: np.random.Generator | None,
    image: np.ndarray,
    label: Label,
    values: Values,
  ) -> Fetched:
    """Transforms an image and its masks; drops hidden fields.

    A transform may find that its image has no foreground or no background. The
    image is then unreadable.
    """
    names = self.masks
    if not names:
      return transform(rng, image), label, values
    masks = [values[name] for name in names]
    try:
      image, moved = transform.together(rng, image, masks)
    except decoding.UnreadableImage as error:
      return error, 0, {}
    for name, mask in zip(names, moved, strict=True):
      asked.check_size(name, mask, image.shape, after=" after the transforms")
    values = {**values, **dict(zip(names, moved, strict=True))}
    return image, label, {each.name: values[each.name] for each in self.visible}

  def _id(self, index: int) -> str:
    return self.dataset.ids([index])[0]
