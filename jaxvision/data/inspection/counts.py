"""Summaries of a data set: examples per class, image sizes, sample images."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision.data import dataset as records
from jaxvision.data import decoding, sources
from jaxvision.data.decoding import profiles, resizing, unreadable
from jaxvision.data.inspection import overlay

_SHOWN = 640  # maximum side of a sample image in pixels
_SHOWN_NUMBERS = 4  # times as many images as of a class, without classes
_NEXT, _BETWEEN = "\n", " / "  # several captions of an image
_MEASURED = 256  # images per split whose sizes are measured


@dataclasses.dataclass(frozen=True)
class SplitSummary:
  """The summary of a split.

  Attributes:
    name: of the data set.
    split: the split expression, such as "train[:80%]".
    num_examples: number of examples.
    counts: class name -> number of examples, in the order of the labels; empty
      if labels are numbers, and without labels.
    numbers: name -> (smallest, mean, largest) label, if labels are numbers.
    fields: name -> "mask" or "text", of the further fields of the examples.
    sizes: (height, width) -> number of images, the most frequent size first;
      for at most 256 images, evenly spaced over the split.
    unreadable: id -> reason, among these 256 images.
    broken_profiles: ids of these images with a damaged colour profile.
  """

  name: str
  split: str
  num_examples: int
  counts: dict[str, int]
  sizes: dict[tuple[int, int], int]
  unreadable: dict[str, str]
  broken_profiles: tuple[str, ...] = ()
  numbers: dict[str, tuple[float, float, float]] = dataclasses.field(
    default_factory=dict
  )
  fields: dict[str, str] = dataclasses.field(default_factory=dict)


def inspect(
  of: sources.Source, *, splits: Sequence[str], channels: int
) -> list[SplitSummary]:
  """Summarizes splits of a data set; reads all labels.

  Args:
    of: the data set.
    splits: in the slicing syntax of TFDS; `split_sizes` lists the names.
    channels: of the decoded images, 3 or 1.

  Raises:
    ValueError: a label outside the classes, or as in `open_dataset`.
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
    per_class: maximum number of images of each class.
    channels: 3 or 1.

  Returns:
    Images (h, w, channels) uint8, at most 640 pixels a side, and the label of
    each image as text, with its caption if there is one. Images are tinted
    where their segmentation_mask is not 0. Unreadable images are skipped. An
    image with several classes appears once. If labels are numbers, images are
    sorted by them. Several captions of an image are separated by " / ".
  """
  labels = dataset.labels()
  chosen, fields = _chosen(dataset, labels, per_class), dataset.fields()
  images, titles = [], []
  for index in chosen:
    _, image = _read(dataset, index, channels)
    if isinstance(image, np.ndarray):
      image, caption = _with_fields(image, fields, index)
      images.append(_reduced(image))
      title = _title(dataset, labels[index])
      titles.append(": ".join(filter(None, (title, caption))))
  return images, titles


def _with_fields(
  image: np.ndarray, fields: Mapping[str, records.Field], index: int
) -> tuple[np.ndarray, str]:
  """The image with its mask, and its captions, if there are."""
  caption = ""
  if "caption" in fields:
    (text,) = fields["caption"].read([index])
    caption = text.replace(_NEXT, _BETWEEN)
  if "segmentation_mask" in fields:
    (mask,) = fields["segmentation_mask"].read([index])
    mask = decoding.as_mask(mask)
    mask = mask.reshape(*mask.shape[:2], 1)
    if mask.shape[:2] == image.shape[:2]:
      image = overlay.overlay(image, mask)
  return image, caption


def _chosen(
  dataset: records.Dataset, labels: np.ndarray, per_class: int
) -> list[int]:
  if dataset.label_kind == "none":
    return list(range(min(per_class * _SHOWN_NUMBERS, len(labels))))
  if dataset.label_kind == "numbers":
    ranked = np.argsort(labels[:, 0], kind="stable")
    count = min(per_class * _SHOWN_NUMBERS, len(ranked))
    places = np.linspace(0, len(ranked) - 1, count).astype(int)
    return ranked[places].tolist()
  by_class = (
    np.flatnonzero(
      labels == label if labels.ndim == 1 else labels[:, label] == 1
    )
    for label in range(len(dataset.class_names))
  )
  # dict: each image once, in order.
  return list(
    dict.fromkeys(i for rows in by_class for i in rows[:per_class].tolist())
  )


def _title(dataset: records.Dataset, label: np.ndarray) -> str:
  names = dataset.class_names
  if dataset.label_kind == "none":
    return ""
  if dataset.label_kind == "classes":
    return names[label]
  if dataset.label_kind == "sets":
    return " + ".join(names[i] for i in np.flatnonzero(label)) or "no class"
  pairs = zip(names, label.tolist(), strict=True)
  return ", ".join(f"{name} {value:.4g}" for name, value in pairs)


def _reduced(image: np.ndarray) -> np.ndarray:
  """Resizes a large image: hundreds of photographs would fill the memory."""
  scale = _SHOWN / max(image.shape[:2])
  if scale >= 1:
    return image
  sides = (max(1, round(side * scale)) for side in image.shape[:2])
  return resizing.make_resizer("area")(image, *sides)


def _summarize(dataset: records.Dataset, channels: int) -> SplitSummary:
  counts, numbers, nameless = _count(dataset, channels)
  sizes, wrong, broken = _measure(dataset, channels)
  return SplitSummary(
    name=dataset.name,
    split=dataset.split,
    num_examples=dataset.num_examples,
    counts=dict(zip(dataset.class_names, counts, strict=bool(counts))),
    sizes=sizes,
    unreadable=nameless | wrong,
    broken_profiles=broken,
    numbers=numbers,
    fields={name: each.kind for name, each in dataset.fields().items()},
  )


def _count(
  dataset: records.Dataset, channels: int
) -> tuple[list[int], dict[str, tuple[float, float, float]], dict[str, str]]:
  """Counts of classes, ranges of numbers, unreadable records without label."""
  if dataset.label_kind == "none":
    return [], {}, {}
  labels = dataset.labels()
  if dataset.label_kind == "sets":
    return labels.sum(axis=0, dtype=np.int64).tolist(), {}, {}
  if dataset.label_kind == "numbers":
    columns = zip(dataset.class_names, labels.T.astype(float), strict=True)
    ranges = {
      name: (each.min(), each.mean(), each.max()) for name, each in columns
    }
    return [], ranges, {}
  num_classes = len(dataset.class_names)
  outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
  # Unreadable records have no label.
  nameless = _unreadable(dataset, outside[:_MEASURED].tolist(), channels)
  if len(nameless) < min(len(outside), _MEASURED):
    wrong = next(i for i in outside if dataset.ids([int(i)])[0] not in nameless)
    raise ValueError(
      f"{dataset.ids([int(wrong)])[0]} of {dataset.name} has the label "
      f"{labels[wrong]}, outside the {num_classes} classes ({outside.size} "
      f"such labels in the split {dataset.split!r})"
    )
  counts = np.bincount(np.delete(labels, outside), minlength=num_classes)
  return counts.tolist(), {}, nameless


def _unreadable(
  dataset: records.Dataset, indices: Sequence[int], channels: int
) -> dict[str, str]:
  """id -> reason of the unreadable images among some examples."""
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
  """The stored content, and the decoded image or the reason of the failure."""
  stored = None
  try:
    stored, _ = dataset.read([index])[0]
    if isinstance(stored, bytes):
      return stored, decoding.decode(stored, channels=channels)
    return stored, stored
  except (OSError, MemoryError, decoding.UnreadableImage) as error:
    return stored, str(unreadable.from_failure(error))
