"""Layouts: how the arrays of a network are named and shaped in a file.

A layout maps each path of jaxvision, `params/...` or `batch_stats/...`, to the
key of the array in the file, and to the order of its axes. This is sufficient
for reading and writing.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Shape = tuple[int, ...]
Rules = Sequence[tuple[str, Any]]

# Collections that files contain. Others, such as a step counter inside a model,
# are initialised.
STORED = ("params/", "batch_stats/")


class Shaped(Protocol):
  """An array, or the description of an array in a file."""

  @property
  def shape(self) -> Shape:
    """Shape of the array."""

  @property
  def size(self) -> int:
    """Number of elements."""


@dataclasses.dataclass(frozen=True)
class Place:
  """The place of an array of jaxvision in a file.

  Attributes:
    key: key of the array in the file.
    shape: shape in the file; the shape of one part if there are several.
    split: the array of jaxvision is reshaped to this shape, ...
    order: ... its axes are permuted in this order, and it is reshaped to
      `shape`.
    part, parts: index and number of parts along the first axis; `parts` None
      means as many as in the file.
  """

  key: str
  shape: Shape
  split: Shape
  order: Sequence[int]
  part: int = 0
  parts: int | None = 1

  def full_shape(self, length: int = 0) -> Shape:
    """Returns the shape of the complete array in the file.

    `length` is its first axis if the number of parts is unknown.
    """
    if self.parts == 1:
      return self.shape
    if self.parts is None:
      return (length, *self.shape[1:])
    return (self.parts * self.shape[0], *self.shape[1:])

  def to_file(self, array: np.ndarray) -> np.ndarray:
    """Converts an array of jaxvision to the layout of the file."""
    return array.reshape(self.split).transpose(self.order).reshape(self.shape)

  def check(self, shape: Shape) -> None:
    """Raises ValueError for an array of the file with another shape.

    Axes of length 1 can be absent, but not at another position: (c, 1, 1, 3) is
    not (c, 1, 3, 1).
    """
    full = self.full_shape(shape[0] if shape else 0)
    alike = len(shape) != len(full) and _long(shape) == _long(full)
    if shape != full and not alike:
      raise ValueError(f"{shape} instead of {full}")

  def from_file(self, array: np.ndarray, shape: Shape) -> np.ndarray:
    """Converts the complete array of the file to the array of jaxvision.

    Raises:
      ValueError: the shapes differ, apart from axes of length 1.
    """
    self.check(array.shape)
    array = array.reshape(self.parts or -1, *self.shape)[self.part]
    permuted = [self.split[axis] for axis in self.order]
    return (
      array.reshape(permuted).transpose(np.argsort(self.order)).reshape(shape)
    )


@dataclasses.dataclass(frozen=True)
class Layout:
  """The layout of one library (or author) for one family of networks.

  Attributes:
    name: name of the library or author.
    suffix: suffix of the files that are written.
    models: shell patterns of names in `jaxvision.models`.
    sign: a regular expression for a key that only this layout has.
    place: (path in jaxvision, shape) -> Place.
    head: path of the classifier in jaxvision, without `params/`.
    stem: paths of the first layer; a network uses the first path that it has.
    embedding: path of the patch embedding, the only kernel that is resampled;
      "" if there is none.
    clean: key of the file -> key of `place`; None for unused keys.
    options: (cleaned arrays, name of the model) -> model options with which the
      logits are equal to those of the library.
    fixed: required attributes of a model, which determine permutations or the
      numbers of blocks.
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
    """Raises ValueError for a model without the fixed attributes."""
    for name, value in self.fixed.items():
      if getattr(model, name) != value:
        raise ValueError(
          f"files of {self.name} have {name}={value}, but the model has "
          f"{getattr(model, name)!r}: use {value}, or use the run folder"
        )


def _long(shape: Shape) -> Shape:
  return tuple(n for n in shape if n != 1)


def same(key: str, shape: Shape) -> Place:
  """The place of an array that is stored unchanged."""
  return Place(key, shape, shape, range(len(shape)))


def with_own_path(path: str, shape: Shape) -> Place:
  """The place of an array under jaxvision's path, without its collection."""
  return same(path.partition("/")[2], shape)


def transposed(key: str, shape: Shape) -> Place:
  """A torch kernel: (h, w, in, out) is (out, in, h, w), (in, out) (out, in)."""
  order = (3, 2, 0, 1) if len(shape) == 4 else (1, 0)
  return Place(key, tuple(shape[i] for i in order), shape, order)


def flattened(key: str, shape: Shape, *, side: int) -> Place:
  """A Dense kernel after a flattened feature map of side x side.

  jaxvision flattens (row, column, channel), torch (channel, row, column).
  """
  rows, outputs = shape
  split = (side * side, rows // side**2, outputs)
  return Place(key, (outputs, rows), split, (2, 1, 0))


def stem_options(side: int) -> dict[str, Any]:
  """The stem option for a first kernel of this side, in pixels."""
  stems = {3: "small", 7: "imagenet"}
  return {"stem": stems[side]} if side in stems else {}


def renamed(text: str, rules: Rules) -> str:
  """Applies all rules (pattern, replacement) to a text, in order."""
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
    path: path in jaxvision.
    shape: shape in jaxvision.
    rules: rules that convert the path, without collection and last name, to the
      name of the torch module.
  """
  module, _, leaf = path.partition("/")[2].rpartition("/")
  module = renamed(module, rules).replace("/", ".")
  key = f"{module}.{_TORCH_LEAVES.get(leaf, leaf)}"
  return transposed(key, shape) if leaf == "kernel" else same(key, shape)


def torch_clean(key: str) -> str | None:
  """Removes torch's counters of batches."""
  return None if key.endswith("num_batches_tracked") else key


def joined(
  key: str, shape: Shape, *, kind: str, part: int = 0, parts: int = 1
) -> Place:
  """An attention projection, in torch one transposed matrix for all heads.

  Args:
    key: key of the weight or the bias.
    shape: shape in jaxvision: kernels (width, heads, size), `out` (heads, size,
      width), biases (heads, size) or (width,).
    kind: "into" the heads, or "out".
    part, parts: index and number of projections in one torch array.
  """
  inputs = 0 if key.endswith("bias") else (1 if kind == "into" else 2)
  matrix = (math.prod(shape[:inputs]), math.prod(shape[inputs:]))
  if key.endswith("bias"):
    return Place(key, matrix[1:], matrix[1:], (0,), part, parts)
  return Place(key, matrix[::-1], matrix, (1, 0), part, parts)
