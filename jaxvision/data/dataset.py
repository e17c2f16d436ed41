"""One split of a data set, as all kinds of sources present it.

Examples are numbered 0 to num_examples - 1, always in the same order. A read
takes many numbers at once, because sources on disk are then faster. A data set
can be pickled for other processes if its functions can be pickled.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

# An image and its label; `Dataset.label_kind` defines the label.
Example = tuple[bytes | np.ndarray, int | np.ndarray]

# label_kind -> type of the labels in a batch.
LABEL_TYPES = {
  "classes": "int32",
  "sets": "uint8",
  "numbers": "float32",
  "none": "int32",
}
# The class of images without labels, whose label is -1.
UNLABELLED = ("image",)
FIELD_KINDS = ("mask", "text", "array")
# Numbers that an example has if its data set does not state them: an image is
# not generated.
DEFAULTS = {"generated": 0.0}


@dataclasses.dataclass(frozen=True)
class Field:
  """What every example of a split has beside its image and label.

  Attributes:
    kind: "mask": a value for each pixel of the image; "text"; "array": numbers
      that do not depend on the view of the image.
    read: indices -> one value per example. A mask is the content of a PNG file,
      or (h, w[, 1]) uint8, of the size of the image; a text is a str; an array
      has one shape for all examples. Raises OSError if a file cannot be read.

  Raises:
    ValueError: another kind.
  """

  kind: str
  read: Callable[
    [Sequence[int]], list[bytes | np.ndarray] | list[str] | list[float]
  ]

  def __post_init__(self) -> None:
    if self.kind not in FIELD_KINDS:
      raise ValueError(
        f"a field of the kind {self.kind!r}; expected one of "
        f"{', '.join(FIELD_KINDS)}"
      )


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A split that can be read in any order, from many threads.

  Attributes:
    name: of the data set: "digits", or the path of the folder or file.
    split: the split expression, such as "train[:80%]".
    class_names: the name of each class, in the order of the labels; if labels
      are numbers, the name of each number.
    num_examples: number of examples.
    ids: indices -> one name per example: its file, or "split/number".
    labels: () -> all labels; may read the whole split. By `label_kind`:
      (num_examples,) int64, (num_examples, k) uint8 or float32.
    read: indices -> (image, label) per example. The image is a file's content,
      or a (h, w, c) uint8 array. The label is an int, or an array (k,). Raises
      OSError if a file cannot be read.
    mixture: (number of examples, weight) of each source of a weighted mixture;
      otherwise empty. The examples are ordered by source.
    ranges: (data set, first example, one past the last) of each joined part,
      in order; otherwise empty.
    content: () -> bytes that change if the content of examples with the same
      ids changes, such as their labels; empty bytes if ids identify the
      content. None: a sample of the examples is read.
    label_kind: "classes": a label is the number of a class. "sets": (k,) of 0
      and 1, whether the image has each of the k classes. "numbers": (k,) real
      numbers. "none": no label; it is -1, and `class_names` is UNLABELLED.
    fields: () -> what the examples have beside image and label, by name, such
      as "segmentation_mask" and "caption". It is called only if a task asks for
      a field, or the data are examined. Several captions of an image are one
      text, a caption a line.
    chosen: (data set, (n,) int64, increasing): the numbers of the examples in
      the data set from which they were chosen; otherwise None.
  """

  name: str
  split: str
  class_names: tuple[str, ...]
  num_examples: int
  ids: Callable[[Sequence[int]], list[str]]
  labels: Callable[[], np.ndarray]
  read: Callable[[Sequence[int]], list[Example]]
  mixture: tuple[tuple[int, float], ...] = ()
  ranges: tuple[tuple["Dataset", int, int], ...] = ()
  content: Callable[[], bytes] | None = None
  label_kind: str = "classes"
  fields: Callable[[], Mapping[str, Field]] = dict
  chosen: tuple["Dataset", np.ndarray] | None = dataclasses.field(
    default=None, compare=False, repr=False
  )


Range = tuple[Dataset, int, int]


def label_shape(of: Dataset) -> tuple[int, ...]:
  """The shape of one label: () for a class or without labels, else (k,)."""
  scalar = of.label_kind in ("classes", "none")
  return () if scalar else (len(of.class_names),)


def each_label(labels: np.ndarray) -> list[int] | list[np.ndarray]:
  """The label of each example, in the form that `Dataset.read` returns."""
  return labels.tolist() if labels.ndim == 1 else list(labels)


def join(parts: Sequence[Range], *, split: str) -> Dataset:
  """Joins ranges of examples to one data set, in the given order.

  Args:
    parts: (data set, first example, one past the last example); all data sets
      have the same classes.
    split: name of the result.

  Raises:
    ValueError: the data sets have different classes, or the same classes in
      another order.
  """
  ranges = tuple(parts)
  for each, _, _ in ranges:
    if each.class_names != ranges[0][0].class_names:
      raise ValueError(
        f"{split!r} joins {ranges[0][0].split!r} and {each.split!r} of "
        f"{each.name}, but their classes or the orders of the classes differ: "
        f"{', '.join(ranges[0][0].class_names[:5])}, ... and "
        f"{', '.join(each.class_names[:5])}, ...; use one list of classes"
      )
  return dataclasses.replace(
    ranges[0][0],
    split=split,
    num_examples=sum(stop - start for _, start, stop in ranges),
    ids=functools.partial(_gather, ranges, [each.ids for each, _, _ in ranges]),
    labels=functools.partial(_labels, ranges),
    read=functools.partial(
      _gather, ranges, [each.read for each, _, _ in ranges]
    ),
    ranges=ranges,
    content=None,
    fields=functools.partial(_fields, ranges),
  )


def choose(of: Dataset, rows: np.ndarray, *, split: str) -> Dataset:
  """Some examples of a data set, in its order.

  Args:
    of: a split.
    rows: (n,) int64, increasing, the numbers of the examples.
    split: name of the result.

  Returns:
    The examples. The sources of a mixture keep their weights.
  """
  bounds = np.cumsum([0, *(size for size, _ in of.mixture)])
  sizes = np.diff(np.searchsorted(rows, bounds)).tolist()
  return dataclasses.replace(
    of,
    split=split,
    num_examples=len(rows),
    ids=functools.partial(_at, of.ids, rows),
    labels=functools.partial(_labels_at, of, rows),
    read=functools.partial(_at, of.read, rows),
    mixture=tuple(
      (size, weight)
      for size, (_, weight) in zip(sizes, of.mixture, strict=True)
    ),
    ranges=(),
    chosen=(of, rows),
    content=None,
    fields=functools.partial(_fields_at, of, rows),
  )


def relabel(dataset: Dataset, *, class_names: tuple[str, ...]) -> Dataset:
  """The same examples, with labels for another list of classes.

  Args:
    dataset: a split.
    class_names: all classes of the split, and possibly more, in any order.

  Raises:
    ValueError: labels are numbers, and their names differ.
  """
  if dataset.class_names == class_names:
    return dataset
  if dataset.label_kind == "numbers":
    raise ValueError(
      f"{dataset.name} has the numbers {', '.join(dataset.class_names)}; "
      f"expected {', '.join(class_names)}: use the same names in the same order"
    )
  numbers = {name: number for number, name in enumerate(class_names)}
  labels = np.asarray([numbers[name] for name in dataset.class_names], np.int64)
  renumber = functools.partial(
    _moved if dataset.label_kind == "sets" else _renumbered,
    labels,
    len(class_names),
  )
  return dataclasses.replace(
    dataset,
    class_names=class_names,
    labels=functools.partial(_relabelled, dataset, renumber),
    read=functools.partial(_read_relabelled, dataset, renumber),
  )


def _gather(
  ranges: Sequence[Range],
  fetch: Sequence[Callable[[Sequence[int]], list]],
  indices: Sequence[int],
) -> list:
  """What the function of the range of each example returns for it."""
  first = np.cumsum([0, *(stop - start for _, start, stop in ranges)])
  indices = np.asarray(indices, np.int64)
  owner = np.searchsorted(first, indices, side="right") - 1
  found = [None] * len(indices)
  for number in np.unique(owner).tolist():
    rows = np.flatnonzero(owner == number)
    wanted = (indices[rows] - first[number] + ranges[number][1]).tolist()
    for row, each in zip(rows, fetch[number](wanted), strict=True):
      found[row] = each
  return found


def _at(
  fetch: Callable[[Sequence[int]], list],
  rows: np.ndarray,
  indices: Sequence[int],
) -> list:
  """What a function of the numbers in a data set returns for chosen ones."""
  return fetch(rows[np.asarray(indices, np.int64)].tolist())


def _labels_at(of: Dataset, rows: np.ndarray) -> np.ndarray:
  return of.labels()[rows]


def _fields_at(of: Dataset, rows: np.ndarray) -> dict[str, Field]:
  return {
    name: Field(field.kind, functools.partial(_at, field.read, rows))
    for name, field in of.fields().items()
  }


def _fields(ranges: Sequence[Range]) -> dict[str, Field]:
  """The fields that all ranges have, of the same kind."""
  every = [dict(each.fields()) for each, _, _ in ranges]
  stated = {name for each in every for name in each if name in DEFAULTS}
  every = [
    {**{name: _default(name) for name in sorted(stated)}, **each}
    for each in every
  ]
  return {
    name: Field(
      field.kind,
      functools.partial(_gather, ranges, [each[name].read for each in every]),
    )
    for name, field in every[0].items()
    if all(name in each and each[name].kind == field.kind for each in every)
  }


def fields_of(of: Dataset) -> dict[str, Field]:
  """The fields of a data set, with those of `DEFAULTS`."""
  return {**{name: _default(name) for name in DEFAULTS}, **of.fields()}


def _default(name: str) -> Field:
  return Field("array", functools.partial(_repeat, DEFAULTS[name]))


def _repeat(value: float, indices: Sequence[int]) -> list[float]:
  return [value] * len(indices)


def _labels(ranges: Sequence[Range]) -> np.ndarray:
  return np.concatenate([each.labels()[i:j] for each, i, j in ranges])


def _relabelled(
  dataset: Dataset, renumber: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
  return renumber(dataset.labels())


def _read_relabelled(
  dataset: Dataset,
  renumber: Callable[[np.ndarray], np.ndarray],
  indices: Sequence[int],
) -> list[Example]:
  examples = dataset.read(indices)
  if not examples:
    return []
  labels = renumber(np.asarray([label for _, label in examples]))
  images = [image for image, _ in examples]
  return list(zip(images, each_label(labels), strict=True))


def _renumbered(
  numbers: np.ndarray, num_classes: int, labels: np.ndarray
) -> np.ndarray:
  """Converts classes to new numbers; a label outside the classes becomes -1."""
  del num_classes
  known = (labels >= 0) & (labels < len(numbers))
  return np.where(known, numbers[np.where(known, labels, 0)], -1)


def _moved(
  numbers: np.ndarray, num_classes: int, labels: np.ndarray
) -> np.ndarray:
  """Converts sets of classes to the new numbers of the classes."""
  found = np.zeros((len(labels), num_classes), labels.dtype)
  found[:, numbers] = labels
  return found
