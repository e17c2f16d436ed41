"""Filling of a model's parameters from the arrays of a file."""

import difflib
import logging
import math
import re
from collections.abc import Mapping, Sequence

import jax
import ml_dtypes
import numpy as np

from jaxvision import files
from jaxvision.weights import recognition, resize
from jaxvision.weights.grids import Grid
from jaxvision.weights.layout import STORED, Layout, Place, Shape
from jaxvision.weights.opened import POSITIONS, Opened

_LOGGER = logging.getLogger(__name__)

_LISTED = 12  # maximum number of lines of each list in an error


def plan(
  file: Opened,
  template: Mapping[str, jax.ShapeDtypeStruct],
  *,
  head: tuple[str, ...],
  ignore: Sequence[str],
) -> dict[str, Place]:
  """Returns {leaf: place} for the leaves that the file fills.

  Args:
    file: the open file.
    template: {path: shape} of the model's leaves.
    head: path prefixes of new classifiers; () to use those of the file.
    ignore: as for `load`.

  Raises:
    ValueError: a leaf has no array, or an array has no leaf.
  """
  found = file.found
  places = {
    leaf: found.layout.place(leaf, shape.shape)
    for leaf, shape in template.items()
    if leaf.startswith(STORED)
  }
  used = {place.key for place in places.values()}
  planned, problems = {}, []
  for leaf, place in places.items():
    if leaf.startswith(head):
      continue
    if why := _misfit(file, place, leaf, template):
      problems.append((leaf, place, why))
    else:
      planned[leaf] = place
  problems = [p for p in problems if not _matches(p[0], ignore)]
  left = [
    key
    for key in found.arrays
    if key not in used and not _matches(found.names[key], ignore)
  ]
  if problems or left:
    raise ValueError(_explain(file, problems, left))
  return planned


def _misfit(
  file: Opened,
  place: Place,
  leaf: str,
  template: Mapping[str, jax.ShapeDtypeStruct],
) -> str:
  """Returns why an array cannot fill a leaf, even resized; "" if it can."""
  if place.key not in file.found.arrays:
    return "is missing"
  entry = file.found.arrays[place.key]
  if entry.dtype.kind not in "fiu" and entry.dtype != ml_dtypes.bfloat16:
    return f"has the type {entry.dtype}, but numbers are expected"
  shape = entry.shape
  wrong = f"has the shape {shape}"
  if leaf == POSITIONS:
    width = template[leaf].shape[-1]
    rows = shape[-2] if len(shape) > 1 else 0
    return "" if rows and math.prod(shape) == rows * width else wrong
  if leaf in _kernels(file.found.layout, template) and len(shape) == 4:
    shape = _own_order(place, shape)
    new = template[leaf].shape
    embedding = leaf == f"params/{file.found.layout.embedding}/kernel"
    misfits = _kernel_misfits(shape, new, embedding=embedding)
    return wrong + _channels_misfit(shape, new) if misfits else ""
  try:
    place.check(shape)
  except ValueError:
    return wrong
  return ""


def _kernel_misfits(own: Shape, new: Shape, *, embedding: bool) -> bool:
  """Whether a kernel of pixels or patches cannot be resized to `new`."""
  square = own[0] == own[1] and new[0] == new[1]
  sides = own[:2] == new[:2] or (embedding and square and min(own) > 0)
  return not sides or own[3] != new[3] or bool(_channels_misfit(own, new))


def _channels_misfit(own: Shape, new: Shape) -> str:
  try:
    resize.check_channels(own[2], new[2])
  except ValueError as error:
    return f"; {error}"
  return ""


def _kernels(
  layout: Layout, template: Mapping[str, jax.ShapeDtypeStruct]
) -> set[str]:
  """The kernel of the first convolution, and of the patch embedding."""
  stems = [f"params/{stem}/kernel" for stem in layout.stem]
  embedding = {f"params/{layout.embedding}/kernel"} if layout.embedding else ()
  return {*[each for each in stems if each in template][:1], *embedding}


def _own_order(place: Place, shape: Shape) -> Shape:
  """The shape of a kernel in jaxvision's order: (h, w, in, out)."""
  return tuple(shape[i] for i in np.argsort(place.order))


def read(
  file: Opened,
  place: Place,
  leaf: str,
  template: Mapping[str, jax.ShapeDtypeStruct],
  *,
  grids: tuple[Grid, Grid] | None,
  resizing: str,
) -> np.ndarray:
  """Returns the array of a leaf, resized if needed.

  Args:
    file: the open file.
    place: place of the leaf, from `plan`.
    leaf: path of the leaf.
    template: as for `plan`.
    grids: grids (rows, columns) of the positions in the file and in the model.
    resizing: method for positions, a name in `resize.METHODS`.

  Raises:
    ValueError: the array is damaged.
  """
  ours = template[leaf]
  try:
    array = file.file.entries[file.found.names[place.key]].read()
  except Exception as error:
    raise ValueError(f"{file.source}: {files.printable(error)}") from error
  if leaf == POSITIONS:
    array = _positions(array, ours.shape, grids, resizing)
  elif leaf in _kernels(file.found.layout, template) and array.ndim == 4:
    array = _kernel(file, array.transpose(np.argsort(place.order)), ours.shape)
  else:
    array = place.from_file(array, ours.shape)
  # Always copy: the file may change, and its memory is released.
  return np.array(array, ours.dtype, order="C")


def _positions(
  array: np.ndarray,
  shape: Shape,
  grids: tuple[Grid, Grid] | None,
  resizing: str,
) -> np.ndarray:
  array = array.reshape(1, *array.shape[-2:])
  if array.shape == shape or grids is None:
    return array
  old, new = grids
  return resize.positions(array, grid=old, new_grid=new, method=resizing)


def _kernel(file: Opened, kernel: np.ndarray, shape: Shape) -> np.ndarray:
  """Returns a kernel (h, w, in, out) in a shape, resampled if needed."""
  kernel = np.asarray(kernel, np.float32)
  kernel = resize.channels(kernel, new=shape[2])
  if kernel.shape[0] == shape[0]:
    return kernel
  _LOGGER.warning(
    "%s: patches of %d pixels are resampled to %d pixels, the patch size of "
    "the model",
    *(file.source, kernel.shape[0], shape[0]),
  )
  return resize.patches(kernel, new_size=shape[0])


def _matches(text: str, patterns: Sequence[str]) -> bool:
  return any(re.fullmatch(pattern, text) for pattern in patterns)


def _explain(
  file: Opened,
  problems: Sequence[tuple[str, Place, str]],
  left: Sequence[str],
) -> str:
  """The message with both lists, and the nearest unused key of each leaf."""
  found = file.found
  lines = [
    f"{file.source} does not fit: its layout is {found.layout.name}; "
    f"{recognition.guess(found)}."
  ]
  if problems:
    lines.append(f"{len(problems)} parameters are not filled:")
    for leaf, place, why in problems[:_LISTED]:
      near = difflib.get_close_matches(place.key, left, n=1)
      hint = f"; unused: {files.printable(near[0])}" if near else ""
      lines.append(f"  {leaf}: {place.key} {place.full_shape()} {why}{hint}")
  if left:
    lines.append(f"{len(left)} arrays are unused:")
    for key in left[:_LISTED]:
      name = files.printable(found.names[key])
      lines.append(f"  {name} {found.arrays[key].shape}")
  if max(len(problems), len(left)) > _LISTED:
    lines.append("  ...")
  lines.append("Use another model, or skip these with ignore=[...].")
  return "\n".join(lines)
