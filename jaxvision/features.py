"""Look inside any model: its parameters, its cost, its first layer.

Works on every Linen module that maps images (b, h, w, c) to logits with
`__call__(images, *, train)`; `image_shape` is always (h, w, c), without batch.
Nothing here allocates parameters or runs a model.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from jaxvision import trees

Tree = Any

MOST_FILTERS = 64  # More do not fit into one picture.


def variable_shapes(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> Tree:
  """Returns the model's variables as a tree of `jax.ShapeDtypeStruct`."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), images)


def parameter_table(params: Tree) -> list[tuple[str, tuple[int, ...], int]]:
  """Returns (path, shape, count) of every parameter, in the tree's order.

  Args:
    params: a tree of arrays, or of `jax.ShapeDtypeStruct`.
  """
  return [
    (path, leaf.shape, leaf.size)
    for path, leaf in trees.flatten(params).items()
  ]


def flops_per_image(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> float:
  """Returns the floating-point operations of one image's forward pass.

  Two per multiply-accumulate of the convolutions and matrix products, as
  papers count them: taps on padding included, elementwise operations not. A
  training step is about three times as much. (XLA's own cost analysis leaves
  out the padding, 7 % of ResNet-18, and counts the body of a scan once.)
  """
  variables = variable_shapes(model, image_shape=image_shape)
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  forward = functools.partial(model.apply, train=False)
  return 2.0 * _products(jax.make_jaxpr(forward)(variables, images))


def _products(jaxpr: Any) -> int:
  """Returns the multiply-accumulates of all equations, inner ones included."""
  return sum(_products_of_equation(equation) for equation in jaxpr.eqns)


def _products_of_equation(equation: Any) -> int:
  name = equation.primitive.name
  if name == "dot_general":
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return equation.outvars[0].aval.size * math.prod(
      left[axis] for axis in contracted
    )
  if name == "conv_general_dilated":
    kernel = equation.invars[1].aval
    outputs = equation.params["dimension_numbers"].rhs_spec[0]
    taps = kernel.size // kernel.shape[outputs]
    return equation.outvars[0].aval.size * taps
  inner = [
    _products(each)
    for each in jax.tree.leaves(list(equation.params.values()))
    if isinstance(each, (jax.extend.core.Jaxpr, jax.extend.core.ClosedJaxpr))
  ]
  if name == "cond":  # One branch runs: one per platform, or a choice.
    return max(inner)
  return sum(inner) * (equation.params["length"] if name == "scan" else 1)


def first_layer(
  model: nn.Module, *, params: Tree, image_shape: tuple[int, int, int]
) -> tuple[str, np.ndarray]:
  """Returns what the first layer looks for, as pictures.

  Of a convolution or a patch embedding these are its kernels; of a layer that
  is fully connected to the pixels, the weights of each output laid out as the
  image (of the linear model: one template per class).

  Args:
    model: whose first layer is meant.
    params: its parameters.
    image_shape: (h, w, c).

  Returns:
    The path of the parameter, such as "conv1/kernel", and its first 64 filters
    at most, (n, h, w, c) float32.

  Raises:
    ValueError: if the first kernel is not one that reads pixels.
  """
  path = _first_kernel(model, image_shape=image_shape)
  kernel = np.asarray(trees.flatten(params)[path], np.float32)
  if kernel.shape[0] == math.prod(image_shape):
    kernel = kernel.reshape(*image_shape, -1)
  elif kernel.ndim != 4 or kernel.shape[2] != image_shape[2]:
    raise ValueError(
      f"{path} has shape {kernel.shape}, which does not read the pixels of "
      f"images of shape {image_shape}; the first layer must be a convolution, "
      "a patch embedding, or fully connected"
    )
  return path, np.moveaxis(kernel, -1, 0)[:MOST_FILTERS]


def _first_kernel(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> str:
  """Returns the path of the first kernel in the order of calls.

  The order of calls has to be observed: the tree of parameters is sorted by
  name, and which shapes read pixels can be ambiguous.
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
