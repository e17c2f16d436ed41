"""What a data set contains: counts per class, sizes, a few pictures."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxvision.data import dataset as records
from jaxvision.data import decoding, sources
from jaxvision.data.decoding import profiles, resizing, unreadable

_SHOWN = 640  # pixels of the longer side of an image that is shown
_MEASURED = 256  # images per split whose size is looked at


@dataclasses.dataclass(frozen=True)
class SplitSummary:
  """One split, counted.

  Attributes:
    name: of the data set.
    split: what was asked for, such as "train[:80%]".
    num_examples: how many there are.
    counts: class name -> examples of it, in the order of the labels.
    sizes: (height, width) -> images of it, the most frequent first; of at most
      256 images, evenly spread over the split.
    unreadable: id -> reason, among those 256.
    broken_profiles: ids of those with a broken colour profile.
  """

  name: str
  split: str
  num_examples: int
  counts: dict[str, int]
  sizes: dict[tuple[int, int], int]
  unreadable: dict[str, str]
  broken_profiles: tuple[str, ...] = ()


def inspect(
  of: sources.Source, *, splits: Sequence[str], channels: int
) -> list[SplitSummary]:
  """Counts splits of a data set; reads all their labels.

  Args:
    of: the data set.
    splits: in the slicing syntax of TFDS; `split_sizes` says which exist.
    channels: to decode to, 3 or 1.

  Raises:
    ValueError: a label outside the classes, or as `open_dataset` does.
  """
  return [
    _summarize(sources.open_dataset(of, split), channels) for split in splits
  ]


def sample(
  dataset: records.Dataset, *, per_class: int, channels: int
) -> tuple[list[np.ndarray], list[str]]:
  """The first images of each class, for a contact sheet.

  Args:
    dataset: a split.
    per_class: images of each class, or fewer if there are not so many.
    channels: 3 or 1.

  Returns:
    Images (h, w, channels) uint8, of at most 640 pixels a side, and, for each,
    the name of its class; unreadable images are left out.
  """
  labels = dataset.labels()
  chosen = [
    index
    for label in range(len(dataset.class_names))
    for index in np.flatnonzero(labels == label)[:per_class].tolist()
  ]
  images, titles = [], []
  for index in chosen:
    _, image = _read(dataset, index, channels)
    if isinstance(image, np.ndarray):
      images.append(_reduced(image))
      titles.append(dataset.class_names[labels[index]])
  return images, titles


def _reduced(image: np.ndarray) -> np.ndarray:
  """The image, or a smaller one: hundreds of photographs fill the memory."""
  scale = _SHOWN / max(image.shape[:2])
  if scale >= 1:
    return image
  sides = (max(1, round(side * scale)) for side in image.shape[:2])
  return resizing.make_resizer("area")(image, *sides)


def _summarize(dataset: records.Dataset, channels: int) -> SplitSummary:
  labels = dataset.labels()
  num_classes = len(dataset.class_names)
  outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
  # Records that cannot be read have no label.
  nameless = _unreadable(dataset, outside[:_MEASURED].tolist(), channels)
  if len(nameless) < min(len(outside), _MEASURED):
    wrong = next(i for i in outside if dataset.ids([int(i)])[0] not in nameless)
    raise ValueError(
      f"{dataset.ids([int(wrong)])[0]} of {dataset.name} has the label "
      f"{labels[wrong]}, outside the {num_classes} classes ({outside.size} "
      f"such labels in the split {dataset.split!r})"
    )
  counts = np.bincount(np.delete(labels, outside), minlength=num_classes)
  sizes, wrong, broken = _measure(dataset, channels)
  return SplitSummary(
    name=dataset.name,
    split=dataset.split,
    num_examples=dataset.num_examples,
    counts=dict(zip(dataset.class_names, counts.tolist(), strict=True)),
    sizes=sizes,
    unreadable=nameless | wrong,
    broken_profiles=broken,
  )


def _unreadable(
  dataset: records.Dataset, indices: Sequence[int], channels: int
) -> dict[str, str]:
  """id -> reason of those among some examples that cannot be read."""
  found = {}
  for index in indices:
    _, image = _read(dataset, index, channels)
    if isinstance(image, str):
      found[dataset.ids([index])[0]] = image
  return found


def _measure(
  dataset: records.Dataset, channels: int
) -> tuple[dict[tuple[int, int], int], dict[str, str], tuple[str, ...]]:
  sizes, wrong, broken = collections.Counter(), {}, []
  measured = min(_MEASURED, dataset.num_examples)
  spread = np.linspace(0, dataset.num_examples - 1, measured).astype(int)
  for index in spread.tolist():
    stored, image = _read(dataset, index, channels)
    if isinstance(image, np.ndarray):
      sizes[image.shape[:2]] += 1
    else:
      wrong[dataset.ids([index])[0]] = image
    if isinstance(stored, bytes) and profiles.is_broken(stored):
      broken.append(dataset.ids([index])[0])
  return dict(sizes.most_common()), wrong, tuple(broken)


def _read(
  dataset: records.Dataset, index: int, channels: int
) -> tuple[bytes | np.ndarray | None, np.ndarray | str]:
  """What is stored, and the image, or why it cannot be read."""
  stored = None
  try:
    stored, _ = dataset.read([index])[0]
    if isinstance(stored, bytes):
      return stored, decoding.decode(stored, channels=channels)
    return stored, stored
  except (OSError, MemoryError, decoding.UnreadableImage) as error:
    return stored, str(unreadable.from_failure(error))
