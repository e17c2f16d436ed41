"""Loading of weights from a run folder."""

import os
import re
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxvision import checkpoint, models, trees, user_code
from jaxvision.runs import network, reading
from jaxvision.weights import placement, resize
from jaxvision.weights.families import vit
from jaxvision.weights.layout import Shape

Tree = Any

_POSITIONS = f"params/{vit.POSITIONS}"


def load(
  folder: str | os.PathLike[str],
  name: str,
  *,
  num_classes: int | None,
  image_size: tuple[int, int] | None,
  channels: int | None,
  ignore: Sequence[str],
  resizing: str,
  sharding: placement.Placement,
  options: dict[str, Any],
) -> tuple[nn.Module, Tree]:
  """Loads the weights of a run, as `weights.load` for a file.

  The moving average is used if the run has one. Positions and the first kernel
  are resized as for a file.

  Raises:
    FileNotFoundError: the folder is not a run, or has no checkpoint.
    ValueError: it is a run of another model, or it does not fit; the message
      lists the parameters.
  """
  run = network.read(folder)
  if not _is_same_model(run.model, name):
    raise ValueError(
      f"{folder} is a run of {user_code.as_written(run.model)}, "
      f"not of {user_code.as_written(name)}"
    )
  classes = num_classes or len(run.class_names)
  options = {**run.options, **options}
  model = models.create(name, num_classes=classes, **options)
  size = image_size or run.image_shape[:2]
  image_shape = (*size, channels or run.image_shape[2])
  template = placement.shapes(model, image_shape)
  fresh = _classifier(model, image_shape) if num_classes else set()
  own = _of_model(trees.flatten(_variables(folder)), template)
  filled, missing = {}, []
  for leaf, shape in template.items():
    array = _fitted(own.get(leaf), leaf, shape, run, model, size, resizing)
    if leaf in fresh:
      array = np.zeros(shape.shape, shape.dtype)
    if array is None:
      missing.append(leaf)
    else:
      filled[leaf] = placement.put(array, leaf, sharding)
  _check(folder, missing, own.keys() - template.keys(), ignore)
  if missing:
    filled |= placement.draw(model, missing, image_shape, sharding)
  return model, trees.unflatten({leaf: filled[leaf] for leaf in template})


def _variables(folder: str | os.PathLike[str]) -> Tree:
  with checkpoint.open_saved(folder) as manager:
    step = checkpoint.choose(manager, _named(folder))
    return checkpoint.restore_variables(manager, step)


def _of_model(own: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
  """The leaves of the model among those of all networks of a task.

  A captioner has its model as "params/encoder/..." beside its decoder.
  """
  for name in sorted({path.split("/")[1] for path in own}):
    inside = {
      path.replace(f"/{name}/", "/", 1): leaf
      for path, leaf in own.items()
      if path.split("/")[1] == name
    }
    if template.keys() <= inside.keys():
      return inside
  return own


def implied_options(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """The options of the model of a run.

  Raises:
    FileNotFoundError, ValueError: as `load`.
  """
  options = network.read(folder).options
  with checkpoint.open_saved(folder) as manager:
    checkpoint.choose(manager, _named(folder))
  return options


def _named(folder: str | os.PathLike[str]) -> str:
  """The checkpoint that the result of the run describes."""
  return reading.evaluated_checkpoint(network.read_result(folder))


def _is_same_model(a: str, b: str) -> bool:
  """Compares names only for the user's own code; shapes are checked later."""
  if user_code.is_own(a) and user_code.is_own(b):
    return user_code.name_of(a) == user_code.name_of(b)
  return a == b


def _classifier(model: nn.Module, image_shape: Shape) -> set[str]:
  """The leaves whose shape depends on the number of classes."""
  more = model.clone(num_classes=model.num_classes + 1)
  other = placement.shapes(more, image_shape)
  own = placement.shapes(model, image_shape)
  return {leaf for leaf in own if own[leaf].shape != other[leaf].shape}


def _fitted(
  array: np.ndarray | None,
  leaf: str,
  shape: jax.ShapeDtypeStruct,
  run: network.Network,
  model: nn.Module,
  size: tuple[int, int],
  resizing: str,
) -> np.ndarray | None:
  """The array, resized to this shape; None if missing or not resizable."""
  if array is None:
    return None
  if array.shape == shape.shape:
    return array
  if leaf == _POSITIONS:
    stride = model.stride
    grids = [tuple(n // stride for n in s) for s in (run.image_shape[:2], size)]
    return resize.positions(
      array, grid=grids[0], new_grid=grids[1], method=resizing
    )
  new = shape.shape
  alike = array.ndim == 4 and (*array.shape[:2], array.shape[3]) == (
    *new[:2],
    new[3],
  )
  if alike and array.shape[2] == run.image_shape[2]:
    return resize.channels(array, new=new[2])
  return None


def _check(
  folder: str | os.PathLike[str],
  missing: Sequence[str],
  left: set[str],
  ignore: Sequence[str],
) -> None:
  """Raises ValueError for leaves that do not fit and are not ignored."""
  wrong = [
    leaf
    for leaf in (*missing, *sorted(left))
    if not any(re.fullmatch(pattern, leaf) for pattern in ignore)
  ]
  if wrong:
    raise ValueError(
      f"the run {folder} does not fit: {', '.join(wrong[:12])} are missing, "
      "unused or of another shape. Give the model options of the run, or skip "
      "them with ignore=[...]"
    )
