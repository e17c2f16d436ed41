"""Loading of a weight file or a run into a model and its variables."""

import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import numpy as np

from jaxvision import trees
from jaxvision.weights import (
  addresses,
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
  """Loads published weights: every parameter is filled, every array is used.

  The model has the options that the layout of the file implies, so its logits
  are equal to those of the library that wrote the file. Arrays are copied one
  by one from the mapped file to their devices. Prefixes of wrappers
  (`module.`, `_orig_mod.`, `model.`) are removed from the keys. If the file has
  a network and its moving average, the average is used. Of a checkpoint with
  other parts, such as the state of an optimizer, only the network is used. All
  of this is logged.

  Learned positions are resized if `image_size` differs from the size of the
  file. A square number of patches is used as a square grid; with a warning,
  unless it is a published size of the model. For other grids give
  `native_size`. A patch embedding of another side is resampled with a warning;
  other kernels are not resampled.

  Args:
    path_or_url: .npz or .safetensors file, file of torch.save (.pth), index of
      a file in shards (.safetensors.index.json), or a run folder; or an
      address, as for `fetch.local_path`. `FILE.pth#teacher` is a part of a
      file: the arrays of a nested dict, or those with this prefix.
    name: name of the model, as for `models.create`.
    num_classes: number of classes of a new, zero-initialised classifier; None
      keeps the classifier of the file.
    image_size: image size for the learned positions: pixels, or (height,
      width); None for the size of the file.
    native_size: image size of the learned positions in the file, if the file
      and `image_size` do not determine it.
    channels: number of channels of the images; None for that of the file. For
      another number, the first kernel is summed or repeated.
    ignore: regular expressions for parameters that may be missing in the file
      (path in jaxvision, `params/head/bias`), or for unused arrays (key in the
      file). A missing parameter keeps its initial value.
    resizing: resize method of positions, a name in `resize.METHODS`.
    sharding: sharding of all arrays, or (path, shape) -> sharding; None for the
      default device.
    sha256: required hash of the file: 64 hexadecimal digits, or at least the
      first 8 of them.
    **options: options of the model, which replace those of the file.

  Returns:
    (model, variables) for `model.apply(variables, images, train=False)`;
    float32.

  Raises:
    FileNotFoundError, ConnectionError: the file does not exist.
    ValueError: the file is damaged, has an unknown layout, or does not fit the
      model; the message lists missing and unused arrays. Or the grid of its
      positions is ambiguous; the message has the argument that decides.
  """
  path, part = addresses.locate(path_or_url, sha256=sha256)
  if path.is_dir() and native_size is not None:
    raise ValueError(f"{path} is a run, which has its size; omit native_size")
  of_file = {"native_size": _pair(native_size), "part": part}
  of_file = {} if path.is_dir() else of_file
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
    **of_file,
  )


def _pair(size: int | Size | None) -> Size | None:
  pair = (size, size) if isinstance(size, int) else size
  if pair is not None and (len(pair) != 2 or min(pair) < 1):
    raise ValueError(f"image size {size}: give one side or (height, width)")
  return pair and tuple(pair)


def _load_file(
  path: pathlib.Path,
  name: str,
  *,
  num_classes: int | None,
  image_size: Size | None,
  native_size: Size | None,
  part: str,
  channels: int | None,
  ignore: Sequence[str],
  resizing: str,
  sharding: placement.Placement,
  options: dict[str, Any],
) -> tuple[nn.Module, Tree]:
  file = opened.open_weights(path, name, part=part, native=native_size)
  options = opened.options(file, name, given=options, image_size=image_size)
  classes = _classes(file, num_classes)
  model = opened.make_model(file, name, num_classes=classes, **options)
  file.found.layout.check(model)
  size = opened.image_size(file, name, model, wanted=image_size)
  image_shape = (*size, channels or opened.channels(file) or _RGB)
  template = _template(file, model, image_shape)
  head = _heads(file) if num_classes else ()
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
    leaf for leaf in template if leaf not in plan and not leaf.startswith(head)
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
      f"{file.source} states invalid options {stated} of its model ({error}): "
      "fetch the file again"
    ) from error


def _heads(file: Opened) -> tuple[str, ...]:
  """The path prefixes of the classifiers, with that of a distillation token."""
  head = f"params/{file.found.layout.head}"
  return f"{head}/", f"{head}_dist/"


def _classes(file: Opened, wanted: int | None) -> int:
  found = wanted or recognition.classes(file.found)
  if not found:
    raise ValueError(
      f"{file.source} has no classifier: give num_classes=... for a new one"
    )
  return found


def native_size(path_or_url: str | os.PathLike[str], name: str) -> int | Size:
  """Returns the image size of a weight file, in pixels.

  Returns:
    One side of a square, or (height, width).

  Raises:
    ValueError: as `load`; or the file does not determine it.
  """
  path, part = addresses.locate(path_or_url)
  file = opened.open_weights(path, name, part=part)
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
  """Returns the model options that a file implies.

  `positions` is not included if only the image size would determine whether the
  class token has a position.

  Args:
    path_or_url: as for `load`.
    name: name of the model.
    image_size: (height, width) that it is loaded for, if known.

  Raises:
    ValueError: as `load`, for a file of another model.
  """
  path, part = addresses.locate(path_or_url)
  if path.is_dir():
    return run_folder.implied_options(path)
  file = opened.open_weights(path, name, part=part)
  return opened.options(
    file, name, given={}, image_size=image_size, complete=False
  )
