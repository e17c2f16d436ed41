"""A file of weights into a model and its variables."""

import difflib
import math
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxvision import (
  fetch,
  inference,
  models,
  trees,
)
from jaxvision.weights import (
  files,
  leaves,
  recognition,
  resize,
  runs,
  vit,
)
from jaxvision.weights.layout import STORED, Layout, Place

Tree = Any

_LISTED = 12  # lines of each list in an error
_RGB = 3


def load(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  num_classes: int | None = None,
  image_size: int | tuple[int, int] | None = None,
  channels: int | None = None,
  ignore: Sequence[str] = (),
  resizing: str = "align_corners",
  sharding: leaves.Placement = None,
  sha256: str | None = None,
  **options: Any,
) -> tuple[nn.Module, Tree]:
  """Reads published weights: every parameter is filled, every array is used.

  The model has the options that the layout of the file implies, so that its
  logits are those of the implementation that wrote the file. Arrays are copied
  one by one out of the mapped file, straight to where they shall lie.

  Args:
    path_or_url: .npz or .safetensors, or the folder of a run of ours; an
      address as `fetch.local_path` has it.
    name: of the model, as `models.create` has it.
    num_classes: gives the model a fresh classifier of zeros for so many
      classes; None keeps that of the file.
    image_size: of the images that the learned positions shall be for, in
      pixels, or (height, width); None is that of the file.
    channels: of the images; None is 3, or what a run was trained on. For
      another number the first kernel is summed or repeated.
    ignore: regular expressions for what may be missing in the file, by our path
      (`params/head/bias`), or left over, by its key. A parameter that is not
      filled keeps its fresh value.
    resizing: of positions, a name in `resize.METHODS`.
    sharding: of every array, or (path, shape) -> that of one; None is the
      default device.
    sha256: 64 hexadecimal digits that the file must have.
    **options: of the model, over those that the file implies.

  Returns:
    (model, variables), as `model.apply(variables, images, train=False)` takes
    them, float32.

  Raises:
    FileNotFoundError, ConnectionError: there is no such file.
    ValueError: the file is damaged, laid out in no known way, of another model,
      or does not fit it; names what is missing and what is left over.
  """
  path = fetch.local_path(path_or_url, sha256=sha256)
  if isinstance(image_size, int):
    image_size = (image_size, image_size)
  read = runs.load if path.is_dir() else _load_file
  return read(
    path,
    name,
    num_classes=num_classes,
    image_size=image_size,
    channels=channels,
    ignore=ignore,
    resizing=resizing,
    sharding=sharding,
    options=options,
  )


def _load_file(
  path: pathlib.Path,
  name: str,
  *,
  num_classes: int | None,
  image_size: tuple[int, int] | None,
  channels: int | None,
  ignore: Sequence[str],
  resizing: str,
  sharding: leaves.Placement,
  options: dict[str, Any],
) -> tuple[nn.Module, Tree]:
  file, found = _open(path, name)
  classes = num_classes or recognition.classes(found)
  if classes is None:
    raise ValueError(
      f"{path} has no classifier: say num_classes=... for a fresh one"
    )
  options = {**found.layout.options(found.arrays, name), **options}
  model = models.create(name, num_classes=classes, **options)
  native = _image_size(found, name, model)
  size = image_size or (native, native)
  image_shape = (*size, channels or _RGB)
  template = leaves.shapes(model, image_shape)
  head = f"params/{found.layout.head}/" if num_classes else None
  plan = _plan(found, template, head=head, ignore=ignore, source=str(path))
  filled = {}
  for leaf, shape in template.items():
    array = np.zeros(shape.shape, shape.dtype)
    if leaf in plan:
      grid = _grid(model, size) if leaf == f"params/{vit.POSITIONS}" else None
      array = _read(found, plan[leaf], leaf, shape, grid=grid, method=resizing)
    filled[leaf] = leaves.put(array, leaf, sharding)
    if leaf in plan:
      file.forget(found.names[plan[leaf].key])
  missing = [
    leaf
    for leaf in template
    if leaf not in plan and not (head and leaf.startswith(head))
  ]
  if missing:
    filled |= leaves.draw(model, missing, image_shape, sharding)
  return model, trees.unflatten(filled)


def _open(
  path: pathlib.Path, name: str
) -> tuple[files.ArrayFile, recognition.Recognized]:
  """Opens a file that may hold the model; a ValueError if it cannot."""
  file = files.open_file(path)
  found = recognition.recognize(file.arrays, source=str(path))
  recognition.check_name(found, name, source=str(path))
  return file, found


def _image_size(
  found: recognition.Recognized, name: str, model: nn.Module
) -> int:
  """Returns the size of the images that the tokens of a file are for."""
  native = models.spec(name).image_size
  if name.startswith("vit_") and model.positions.startswith("learned"):
    key = found.layout.place(f"params/{vit.POSITIONS}", (1, 1, 1)).key
    patches = found.arrays[key].shape[-2] - _before(model)
    return math.isqrt(patches) * recognition.stride(model)
  if name.startswith("mixer_"):
    leaf = "params/MixerBlock_0/token_mixing/Dense_0/bias"
    width = found.arrays[found.layout.place(leaf, (1,)).key].size
    kernel = leaf.replace("bias", "kernel")
    key = found.layout.place(kernel, (1, 1)).key
    patches = found.arrays[key].size // width
    return math.isqrt(patches) * model.patch_size
  return native


def _before(model: nn.Module) -> int:
  """Returns how many positions stand before those of the patches."""
  return int(model.pool == "token" and model.positions == "learned")


def _grid(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
  stride = recognition.stride(model)
  return size[0] // stride, size[1] // stride


def _plan(
  found: recognition.Recognized,
  template: dict[str, Any],
  *,
  head: str | None,
  ignore: Sequence[str],
  source: str,
) -> dict[str, Place]:
  """Returns the place of every leaf that the file fills.

  Raises:
    ValueError: leaves without an array, or arrays without a leaf.
  """
  places = {
    leaf: found.layout.place(leaf, shape.shape)
    for leaf, shape in template.items()
    if leaf.startswith(STORED)
  }
  used = {place.key for place in places.values()}
  plan, problems = {}, []
  for leaf, place in places.items():
    if head and leaf.startswith(head):
      continue
    if place.key not in found.arrays:
      problems.append((leaf, place, "is not there"))
    elif not _fits(found, place, leaf):
      shape = found.arrays[place.key].shape
      problems.append((leaf, place, f"is there as {shape}"))
    else:
      plan[leaf] = place
  problems = [p for p in problems if not _matches(p[0], ignore)]
  left = [
    key
    for key in found.arrays
    if key not in used and not _matches(found.names[key], ignore)
  ]
  if problems or left:
    raise ValueError(_explain(found, problems, left, source=source))
  return plan


def _fits(found: recognition.Recognized, place: Place, leaf: str) -> bool:
  """Whether an array has the shape of its place, or can be resized to it."""
  array = found.arrays[place.key]
  if leaf in _resizable(found.layout):
    return array.ndim == len(place.shape)
  try:
    place.check(array.shape)
  except ValueError:
    return False
  return True


def _resizable(layout: Layout) -> tuple[str, str]:
  return f"params/{vit.POSITIONS}", f"params/{layout.stem}/kernel"


def _read(
  found: recognition.Recognized,
  place: Place,
  leaf: str,
  shape: jax.ShapeDtypeStruct,
  *,
  grid: tuple[int, int] | None,
  method: str,
) -> np.ndarray:
  """Returns our array of a leaf, resized where it must be."""
  array = found.arrays[place.key]
  if array.shape == place.shape or leaf not in _resizable(found.layout):
    array = place.from_file(array, shape.shape)
  elif grid is not None:
    before = shape.shape[1] - math.prod(grid)
    side = math.isqrt(array.shape[-2] - before)
    if side**2 != array.shape[-2] - before:
      raise ValueError(
        f"{place.key} has the positions of {array.shape[-2] - before} patches, "
        "which is no square: only square grids can be resized; give the "
        "image_size that the file is for"
      )
    array = resize.positions(
      array.reshape(1, *array.shape[-2:]),
      grid=(side, side),
      new_grid=grid,
      method=method,
    )
  else:
    if found.layout.suffix == ".safetensors":
      array = array.transpose(2, 3, 1, 0)
    array = np.asarray(array, np.float32)
    if array.shape[2] != shape.shape[2]:
      array = resize.channels(array, new=shape.shape[2])
    if array.shape[0] != shape.shape[0]:
      array = resize.patches(array, new_size=shape.shape[0])
  # A copy in any case: the file may be changed, and shall be forgotten.
  return np.array(array, shape.dtype, order="C")


def native_size(path_or_url: str | os.PathLike[str], name: str) -> int:
  """Returns the size of the images that a file of weights is for, in pixels."""
  path = fetch.local_path(path_or_url)
  _, found = _open(path, name)
  options = found.layout.options(found.arrays, name)
  model = models.create(name, num_classes=1, **options)
  return _image_size(found, name, model)


def implied_options(
  path_or_url: str | os.PathLike[str], name: str
) -> dict[str, Any]:
  """Returns the options of a model under which a file means what it meant.

  Raises:
    ValueError: as `load` does, for a file of another model.
  """
  path = fetch.local_path(path_or_url)
  if path.is_dir():
    return inference.load_run(path).config.model.options.to_dict()
  _, found = _open(path, name)
  return found.layout.options(found.arrays, name)


def _matches(text: str, patterns: Sequence[str]) -> bool:
  return any(re.fullmatch(pattern, text) for pattern in patterns)


def _explain(
  found: recognition.Recognized,
  problems: Sequence[tuple[str, Place, str]],
  left: Sequence[str],
  *,
  source: str,
) -> str:
  """Returns both lists, with the nearest key that is left over."""
  lines = [
    f"{source} does not fit: laid out as {found.layout.name} do, "
    f"{recognition.guess(found)}."
  ]
  if problems:
    lines.append(f"{len(problems)} parameters are not filled:")
    for leaf, place, why in problems[:_LISTED]:
      near = difflib.get_close_matches(place.key, left, n=1)
      hint = f"; left over is {near[0]}" if near else ""
      lines.append(f"  {leaf}: {place.key} {place.whole()} {why}{hint}")
  if left:
    lines.append(f"{len(left)} arrays are left over:")
    for key in left[:_LISTED]:
      lines.append(f"  {found.names[key]} {found.arrays[key].shape}")
  if max(len(problems), len(left)) > _LISTED:
    lines.append("  ...")
  lines.append("Name another model, or what to leave out by ignore=[...].")
  return "\n".join(lines)
