"""First-layer filters as images: kernels, patch embeddings, templates."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import numpy as np

from jaxvision import trees
from jaxvision.variables import variable_shapes

Tree = Any
MOST_FILTERS = 64  # More do not fit into one figure.


def first_layer(
  model: nn.Module,
  *,
  params: Tree,
  image_shape: tuple[int, int, int],
  gather: Callable[[Any], np.ndarray] = np.asarray,
) -> tuple[str, np.ndarray]:
  """Returns the filters of the first layer as images.

  For a convolution or a patch embedding these are its kernels. For a layer that
  is fully connected to the pixels, they are the weights of each output in the
  shape of the image (for the linear model: one template per class).

  Args:
    model: the model.
    params: the parameters of the model.
    image_shape: (h, w, c).
    gather: converts a parameter to a numpy array; `parallel.whole` for
      parameters that are sharded over processes.

  Returns:
    The path of the parameter, such as "conv1/kernel", and at most 64 filters,
    (n, h, w, c) float32.

  Raises:
    ValueError: the first kernel does not read pixels.
  """
  path, kernel = first_kernel(
    model, params=params, image_shape=image_shape, gather=gather
  )
  return path, np.moveaxis(kernel, -1, 0)[:MOST_FILTERS]


def first_kernel(
  model: nn.Module,
  *,
  params: Tree,
  image_shape: tuple[int, int, int],
  gather: Callable[[Any], np.ndarray] = np.asarray,
) -> tuple[str, np.ndarray]:
  """Returns the path and the kernel of the first layer, (h, w, c, n) float32.

  Args and errors: as in `first_layer`, whose filters are these, without limit.
  """
  path = _first_kernel(model, image_shape=image_shape)
  kernel = gather(trees.flatten(params)[path]).astype(np.float32)
  if kernel.shape[0] == math.prod(image_shape):
    kernel = kernel.reshape(*image_shape, -1)
  elif kernel.ndim != 4 or kernel.shape[2] != image_shape[2]:
    raise ValueError(
      f"{path} has shape {kernel.shape}, which does not read the pixels of "
      f"images of shape {image_shape}; the first layer must be a convolution, "
      "a patch embedding, or fully connected"
    )
  return path, kernel


def _first_kernel(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> str:
  """Returns the path of the first kernel in the order of calls.

  The order of calls is traced, because the tree of parameters is sorted by name
  and shapes can be ambiguous.
  """
  finished = []

  def observe(call, args, kwargs, context):
    outputs = call(*args, **kwargs)
    if context.module.has_variable("params", "kernel"):
      finished.append("/".join((*context.module.path, "kernel")))
    return outputs

  with nn.intercept_methods(observe):
    variable_shapes(model, image_shape=image_shape)
  if not finished:
    raise ValueError(f"{type(model).__name__} has no layer with a kernel")
  return finished[0]
