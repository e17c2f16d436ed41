"""Fields of a batch that a task asks for beside image, label and mask.

A mask of a data set, such as "segmentation_mask", becomes (b, h, w, 1) uint8,
moved with its image by the host transforms. A text, such as "caption", becomes
what the task's function makes of it, such as (b, length) int32. An array, such
as "teacher_logits", is used as it is; of shape () it is a number, such as
"generated". A name such as "caption/text" is another encoding of the field
"caption". The field "partner" is not one of the data: see pairing.py.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import lookup
from jaxvision.data import dataset, decoding
from jaxvision.data.batches import pairing
from jaxvision.data.decoding import unreadable

# The fields of every batch; "mask" marks the rows that count.
PLAIN = ("image", "label", "mask", pairing.FIELD)
# The mask that transforms of foregrounds and backgrounds need.
FOREGROUND = "segmentation_mask"
_READ = 1024  # texts in one call
# name -> (shape of one example, type)
Wanted = Mapping[str, tuple[tuple[int, ...], Any]]
# text -> array of the wanted shape and type
Encode = Callable[[str], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Asked:
  """A field of a batch.

  Attributes:
    name: of the field.
    kind: "mask", "text" or "array".
    read: see `dataset.Field`.
    shape: of one example; of a mask it follows from the image.
    dtype: its type.
    encode: text -> array; None for a mask or an array.
    hidden: whether only the transforms need it; it is not part of the batch.
  """

  name: str
  kind: str
  read: Callable[[Sequence[int]], list]
  shape: tuple[int, ...]
  dtype: str
  encode: Encode | None
  hidden: bool = False

  def decode(self, value: Any, *, max_pixels: int) -> np.ndarray:
    """The array of a value: a mask (h, w, 1) before transforms, or others.

    Raises:
      UnreadableImage: a mask that cannot be decoded.
      ValueError: an array of another shape or type.
    """
    if self.kind == "mask":
      return _mask(value, self.name, max_pixels)
    made = np.asarray(value if self.kind == "array" else self.encode(value))
    if self.kind == "array" and made.shape != self.shape:
      raise ValueError(
        f"the {self.name} has the shape {list(made.shape)}; task.batch has "
        f"{list(self.shape)}"
      )
    if self.kind == "array":
      return made.astype(self.dtype)
    if (made.shape, made.dtype) != (self.shape, np.dtype(self.dtype)):
      raise ValueError(
        f"task.encode made {made.dtype}{list(made.shape)} of the {self.name} "
        f"{value!r}; task.batch has {self.dtype}{list(self.shape)}: make both "
        "the same"
      )
    return made


def ask(
  of: dataset.Dataset, wanted: Wanted, encode: Mapping[str, Encode]
) -> tuple[Asked, ...]:
  """Finds the fields that a task asks for.

  Args:
    of: the split.
    wanted: the fields of a batch of the task.
    encode: field name -> function of its texts.

  Raises:
    ValueError: the data do not have a field, or have it in another form.
  """
  names = [name for name in wanted if name not in PLAIN]
  there = dataset.fields_of(of) if names else {}
  for name in names:
    if _source(name) not in there:
      raise ValueError(_missing(of, _source(name)))
  return tuple(
    _asked(there[_source(name)], name, wanted, encode) for name in names
  )


def with_foreground(
  of: dataset.Dataset, known: Sequence[Asked]
) -> tuple[Asked, ...]:
  """Adds the mask that transforms need as a hidden field, unless it is there.

  The mask is the first of the result.

  Raises:
    ValueError: the data do not have it.
  """
  if FOREGROUND not in of.fields():
    raise ValueError(_missing(of, FOREGROUND, who="a transform needs"))
  (mask,) = ask(of, {FOREGROUND: ((1, 1, 1), "uint8")}, {})
  hidden = all(each.name != FOREGROUND for each in known)
  others = [each for each in known if each.name != FOREGROUND]
  return dataclasses.replace(mask, hidden=hidden), *others


def read_texts(of: dataset.Dataset, name: str) -> Iterator[str]:
  """The texts of a field, in the order of the examples.

  Raises:
    ValueError: the data do not have this field.
  """
  found = of.fields()
  if name not in found:
    raise ValueError(_missing(of, name))
  for first in range(0, of.num_examples, _READ):
    last = min(first + _READ, of.num_examples)
    yield from found[name].read(list(range(first, last)))


def _source(name: str) -> str:
  """The field of the data that is encoded as `name`."""
  return name.partition("/")[0]


def check_size(
  name: str, mask: np.ndarray, shape: tuple[int, ...], *, after: str = ""
) -> None:
  """Raises ValueError unless a mask has the height and width of its image."""
  if mask.shape[:2] != tuple(shape[:2]):
    raise ValueError(
      f"the {name} is {mask.shape[0]}x{mask.shape[1]} pixels{after}, but its "
      f"image is {shape[0]}x{shape[1]}; they must have the same size"
    )


def _asked(
  field: dataset.Field, name: str, wanted: Wanted, encode: Mapping[str, Encode]
) -> Asked:
  shape, dtype = wanted[name]
  dtype = np.dtype(dtype).name
  function = encode.get(name)
  if field.kind == "text" and function is None:
    raise ValueError(
      f"the field {name!r} is text, which a batch cannot contain; give the "
      f"task encode={{{name!r}: a function text -> array of task.batch}}"
    )
  of_mask = len(shape) == 3 and shape[2] == 1 and dtype == "uint8"
  if field.kind == "mask" and (function is not None or not of_mask):
    raise ValueError(
      f"the field {name!r} is a mask, and task.batch has {dtype}{list(shape)}"
      f"{' and an encode for it' if function else ''}; expected "
      "((height, width, 1), uint8), without encode"
    )
  return Asked(name, field.kind, field.read, tuple(shape), dtype, function)


def _mask(value: Any, name: str, max_pixels: int) -> np.ndarray:
  """(h, w, 1) uint8."""
  mask = decoding.as_mask(value, max_pixels=max_pixels)
  mask = mask[..., None] if mask.ndim == 2 else mask
  if mask.dtype != np.uint8 or mask.ndim != 3 or mask.shape[2] != 1:
    raise ValueError(
      f"the {name} is {mask.dtype}{list(np.shape(value))}; expected uint8 of "
      "the shape (h, w) or (h, w, 1)"
    )
  unreadable.check_size(*mask.shape[:2], max_pixels=max_pixels)
  return mask


def _missing(
  of: dataset.Dataset, name: str, *, who: str = "the task asks for"
) -> str:
  """The message that a data set lacks a field; of a joined one its part."""
  for part, _, _ in of.ranges:
    if name not in part.fields():
      return _missing(part, name, who=who)
  known = list(of.fields())
  near = lookup.nearest(name, known)
  return (
    f"{who} the field {name!r}, which {of.name} ({of.split}) does "
    f"not have; it has {', '.join(known) or 'images and labels only'}"
    f"{f'; did you mean {near}?' if near else ''}; add the field to the data "
    "(docs/data.md says how), or use another data set or task"
  )
