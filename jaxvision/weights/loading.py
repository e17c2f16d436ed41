"""A file of weights into a model and its variables."""

import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import numpy as np

from jaxvision import trees
from jaxvision.downloads import fetch
from jaxvision.weights import (
  filling,
  opened,
  placement,
  recognition,
  run_folder,
)
from jaxvision.weights.opened import Opened, Size

Tree = Any

_RGB = 3


def load(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  num_classes: int | None = None,
  image_size: int | Size | None = None,
  native_size: int | Size | None = None,
  channels: int | None = None,
  ignore: Sequence[str] = (),
  resizing: str = "align_corners",
  sharding: placement.Placement = None,
  sha256: str | None = None,
  **options: Any,
) -> tuple[nn.Module, Tree]:
  """Reads published weights: every parameter is filled, every array is used.

  The model has the options that the layout of the file implies, so that its
  logits are those of the implementation that wrote the file. Arrays are copied
  one by one out of the mapped file, straight to where they shall lie. Words
  that a wrapper puts before all keys (`module.`, `_orig_mod.`, `model.`) are
  left out, and of a network and its average the average is taken; both is
  logged.

  Learned positions of `image_size` are taken as they are, those of another size
  are resized. A square number of patches is taken for a square; with a warning,
  unless that is a published size of the model. For other grids state
  `native_size`. A patch embedding of another side is resampled with a warning;
  no other kernel is.

  Args:
    path_or_url: .npz or .safetensors, or the folder of a run of ours; an
      address as `fetch.local_path` has it.
    name: of the model, as `models.create` has it.
    num_classes: gives the model a fresh classifier of zeros for so many
      classes; None keeps that of the file.
    image_size: of the images that the learned positions shall be for, in
      pixels, or (height, width); None is that of the file.
    native_size: likewise of the images that those of the file are for, where
      the file and `image_size` do not tell.
    channels: of the images; None is as the file has it. For another number the
      first kernel is summed or repeated.
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
      or does not fit it; names what is missing and what is left over. Or its
      positions can be of several grids; says which argument decides.
  """
  path = fetch.local_path(path_or_url, sha256=sha256)
  if path.is_dir() and native_size is not None:
    raise ValueError(f"{path} is a run, which knows its size: no native_size")
  native = {} if path.is_dir() else {"native_size": _pair(native_size)}
  read = run_folder.load if path.is_dir() else _load_file
  return read(
    path,
    name,
    num_classes=num_classes,
    image_size=_pair(image_size),
    channels=channels,
    ignore=ignore,
    resizing=resizing,
    sharding=sharding,
    options=options,
    **native,
  )


def _pair(size: int | Size | None) -> Size | None:
  pair = (size, size) if isinstance(size, int) else size
  if pair is not None and (len(pair) != 2 or min(pair) < 1):
    raise ValueError(f"image size {size}: it is one side or (height, width)")
  return pair and tuple(pair)


def _load_file(
  path: pathlib.Path,
  name: str,
  *,
  num_classes: int | None,
  image_size: Size | None,
  native_size: Size | None,
  channels: int | None,
  ignore: Sequence[str],
  resizing: str,
  sharding: placement.Placement,
  options: dict[str, Any],
) -> tuple[nn.Module, Tree]:
  file = opened.open_weights(path, name, native=native_size)
  options = opened.options(file, name, given=options, image_size=image_size)
  classes = _classes(file, num_classes)
  model = opened.make_model(file, name, num_classes=classes, **options)
  file.found.layout.check(model)
  size = opened.image_size(file, name, model, wanted=image_size)
  image_shape = (*size, channels or opened.channels(file) or _RGB)
  template = _template(file, model, image_shape)
  head = f"params/{file.found.layout.head}/" if num_classes else None
  plan = filling.plan(file, template, head=head, ignore=ignore)
  grids = None
  if opened.POSITIONS in plan:
    grids = opened.grids_of_positions(file, name, model, wanted=size)
  uses = Counter(place.key for place in plan.values())
  filled = {}
  for leaf, shape in template.items():
    if leaf not in plan:
      array = np.zeros(shape.shape, shape.dtype)
    else:
      key = plan[leaf].key
      array = filling.read(
        file, plan[leaf], leaf, template, grids=grids, resizing=resizing
      )
      uses[key] -= 1
    filled[leaf] = placement.put(array, leaf, sharding)
    if leaf in plan and not uses[key]:
      file.file.forget(file.found.names[key])
  missing = [
    leaf
    for leaf in template
    if leaf not in plan and not (head and leaf.startswith(head))
  ]
  if missing:
    filled |= placement.draw(model, missing, image_shape, sharding)
  return model, trees.unflatten(filled)


def _template(
  file: Opened, model: nn.Module, image_shape: tuple[int, int, int]
) -> dict[str, Any]:
  try:
    return placement.shapes(model, image_shape)
  except ValueError as error:
    raise ValueError(f"{file.source}: {error}") from error
  except Exception as error:
    if not file.note.options:
      raise
    stated = ", ".join(f"{k}={v!r:.40}" for k, v in file.note.options.items())
    raise ValueError(
      f"{file.source} states {stated} of its model, which cannot be ({error}): "
      "fetch the file again"
    ) from error


def _classes(file: Opened, wanted: int | None) -> int:
  found = wanted or recognition.classes(file.found)
  if not found:
    raise ValueError(
      f"{file.source} has no classifier: say num_classes=... for a fresh one"
    )
  return found


def native_size(path_or_url: str | os.PathLike[str], name: str) -> int | Size:
  """Returns the size of the images that a file of weights is for, in pixels.

  One side of a square, else (height, width).

  Raises:
    ValueError: as `load` does; or the file does not tell.
  """
  path = fetch.local_path(path_or_url)
  file = opened.open_weights(path, name)
  options = opened.options(file, name, given={}, image_size=None)
  model = opened.make_model(file, name, num_classes=1, **options)
  height, width = opened.image_size(file, name, model, wanted=None)
  return height if height == width else (height, width)


def implied_options(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  image_size: Size | None = None,
) -> dict[str, Any]:
  """Returns the options of a model under which a file means what it meant.

  Whether a class token has a position is left out where only the size of the
  images would decide it.

  Args:
    path_or_url: as `load` takes it.
    name: of the model.
    image_size: (height, width) that it is loaded for, if that is known.

  Raises:
    ValueError: as `load` does, for a file of another model.
  """
  path = fetch.local_path(path_or_url)
  if path.is_dir():
    return run_folder.implied_options(path)
  file = opened.open_weights(path, name)
  return opened.options(
    file, name, given={}, image_size=image_size, whole=False
  )
