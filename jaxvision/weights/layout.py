"""Where the arrays of a network lie in a file that others lay out.

A layout answers for each of our paths, `params/...` or `batch_stats/...`, under
which key of the file the array is found and how its axes lie there. That is
enough to read and to write.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Shape = tuple[int, ...]
Rules = Sequence[tuple[str, Any]]

# Collections that are in files; others, such as the steps that a schedule
# inside a model counts, start afresh.
STORED = ("params/", "batch_stats/")


class Shaped(Protocol):
  """An array, or what a file says of one that is not read yet."""

  @property
  def shape(self) -> Shape:
    """Of the array."""

  @property
  def size(self) -> int:
    """Number of its elements."""


@dataclasses.dataclass(frozen=True)
class Place:
  """Where one of our arrays lies.

  Attributes:
    key: of the array in the file.
    shape: of what is there; of our part of it, where it has several.
    split: our array is reshaped to this, ...
    order: ... its axes are permuted so, and the result reshaped to `shape`.
    part, parts: which of how many parts along the first axis; None is as many
      as the file has.
  """

  key: str
  shape: Shape
  split: Shape
  order: Sequence[int]
  part: int = 0
  parts: int | None = 1

  def whole(self, length: int = 0) -> Shape:
    """Returns the shape of the array in the file, whose first axis is this."""
    if self.parts == 1:
      return self.shape
    if self.parts is None:
      return (length, *self.shape[1:])
    return (self.parts * self.shape[0], *self.shape[1:])

  def to_file(self, array: np.ndarray) -> np.ndarray:
    """Returns our array, or part, as it lies in the file."""
    return array.reshape(self.split).transpose(self.order).reshape(self.shape)

  def check(self, shape: Shape) -> None:
    """Raises a ValueError for an array of the file with other axes.

    An axis of length 1 may be there or not, but not elsewhere: (c, 1, 1, 3) is
    no (c, 1, 3, 1).
    """
    whole = self.whole(shape[0] if shape else 0)
    alike = len(shape) != len(whole) and _long(shape) == _long(whole)
    if shape != whole and not alike:
      raise ValueError(f"{shape} in place of {whole}")

  def from_file(self, array: np.ndarray, shape: Shape) -> np.ndarray:
    """Returns ours, of this shape, from the whole array of the file.

    Raises:
      ValueError: if that has other axes, leaving out those of length 1.
    """
    self.check(array.shape)
    array = array.reshape(self.parts or -1, *self.shape)[self.part]
    permuted = [self.split[axis] for axis in self.order]
    return (
      array.reshape(permuted).transpose(np.argsort(self.order)).reshape(shape)
    )


@dataclasses.dataclass(frozen=True)
class Layout:
  """How the files of one origin lay out one family of networks.

  Attributes:
    name: who lays files out like this.
    suffix: of the files that are written.
    models: shell patterns of names in `jaxvision.models`.
    sign: a regular expression for a key that only this layout has.
    place: (our path, its shape) -> Place.
    head: our path of the classifier, without `params/`.
    stem: likewise of what reads pixels; where networks differ in it, the first
      of these that a network has.
    embedding: likewise of the patch embedding; "" where there is none. Nothing
      else is resampled.
    clean: key of the file -> key as `place` gives it; None for what is unused.
    options: (cleaned arrays, name of the model) -> options of the model under
      which the logits are those of whoever wrote the file.
    fixed: options that a model must have, as arrays are permuted by them.
  """

  name: str
  suffix: str
  models: Sequence[str]
  sign: str
  place: Callable[[str, Shape], Place]
  head: str
  stem: Sequence[str]
  embedding: str = ""
  clean: Callable[[str], str | None] = lambda key: key
  options: Callable[[Mapping[str, Shaped], str], dict[str, Any]] = (
    lambda arrays, name: {}
  )
  fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def check(self, model: Any) -> None:
    """Raises a ValueError for a model that lacks what is fixed."""
    for option, value in self.fixed.items():
      if getattr(model, option) != value:
        raise ValueError(
          f"files of {self.name} have {option}={value}, and the model "
          f"{getattr(model, option)!r}: use {value}, or keep the folder of the "
          "run"
        )


def _long(shape: Shape) -> Shape:
  return tuple(n for n in shape if n != 1)


def same(key: str, shape: Shape) -> Place:
  """The array as it is."""
  return Place(key, shape, shape, range(len(shape)))


def as_ours(path: str, shape: Shape) -> Place:
  """The array under our own path, without its collection."""
  return same(path.partition("/")[2], shape)


def transposed(key: str, shape: Shape) -> Place:
  """A kernel of torch: (h, w, in, out) as (out, in, h, w), (in, out) turned."""
  order = (3, 2, 0, 1) if len(shape) == 4 else (1, 0)
  return Place(key, tuple(shape[i] for i in order), shape, order)


def flattened(key: str, shape: Shape, *, side: int) -> Place:
  """A Dense kernel that reads a map of side x side, flattened.

  We flatten in the order (row, column, channel), torch (channel, row, column).
  """
  rows, outputs = shape
  split = (side * side, rows // side**2, outputs)
  return Place(key, (outputs, rows), split, (2, 1, 0))


def stem_options(side: int) -> dict[str, Any]:
  """The stem of a network whose first convolution has this side, in pixels."""
  stems = {3: "small", 7: "imagenet"}
  return {"stem": stems[side]} if side in stems else {}


def renamed(text: str, rules: Rules) -> str:
  """Returns the text after every rule (pattern, replacement), in order."""
  for pattern, replacement in rules:
    text = re.sub(pattern, replacement, text)
  return text


_TORCH_LEAVES = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}


def torch_place(path: str, shape: Shape, *, rules: Rules) -> Place:
  """Returns the place in a state dict of torch.

  Args:
    path: ours.
    shape: of our array.
    rules: what makes of our path, without collection and last word, the name of
      the module.
  """
  module, _, leaf = path.partition("/")[2].rpartition("/")
  module = renamed(module, rules).replace("/", ".")
  key = f"{module}.{_TORCH_LEAVES.get(leaf, leaf)}"
  return transposed(key, shape) if leaf == "kernel" else same(key, shape)


def torch_clean(key: str) -> str | None:
  """Leaves out torch's counters of batches."""
  return None if key.endswith("num_batches_tracked") else key


def joined(
  key: str, shape: Shape, *, kind: str, part: int = 0, parts: int = 1
) -> Place:
  """A map into heads or out of them, as torch has it: one matrix, turned.

  Args:
    key: of the weight or the bias.
    shape: of ours: kernels (width, heads, size), `out` (heads, size, width),
      biases (heads, size) or (width,).
    kind: "into" or "out".
    part, parts: which of several maps that torch keeps in one array.
  """
  inputs = 0 if key.endswith("bias") else (1 if kind == "into" else 2)
  matrix = (math.prod(shape[:inputs]), math.prod(shape[inputs:]))
  if key.endswith("bias"):
    return Place(key, matrix[1:], matrix[1:], (0,), part, parts)
  return Place(key, matrix[::-1], matrix, (1, 0), part, parts)
