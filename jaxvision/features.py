"""Look inside any model: its layers, what they cost, what they compute.

Works on every Linen module that maps images (b, h, w, c) to logits with
`__call__(images, *, train)`; `image_shape` is always (h, w, c), without batch.
A layer is a Linen module inside the model, called by its path: "layer3_0/conv2"
or "Transformer/encoderblock_3". Nothing but `tap` runs a model, or allocates.
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import distributed, flops, spelling, trees

Tree = Any

MOST_FILTERS = 64  # More do not fit into one picture.
_LAYER = "layer "  # How the name scopes begin that say which layer it is.


@dataclasses.dataclass(frozen=True)
class Layer:
  """A row of a table of layers.

  Attributes:
    path: such as "layer3_0/conv2"; empty for the model itself.
    output_shape: for one image, (1, ...).
    parameters: trainable ones.
    macs: multiply-accumulates of one image's forward pass.
  """

  path: str
  output_shape: tuple[int, ...]
  parameters: int
  macs: int


def variable_shapes(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> Tree:
  """Returns the model's variables as a tree of `jax.ShapeDtypeStruct`."""
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), _one_image(image_shape))


def flops_per_image(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> float:
  """Returns the floating-point operations of one image's forward pass.

  Two per multiply-accumulate, which `jaxvision.flops` says how to count. A
  training step is about three times as much.
  """
  variables = variable_shapes(model, image_shape=image_shape)
  return 2.0 * _macs(model, variables, image_shape).total()


def layer_names(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> list[str]:
  """Returns the paths of the layers that the model calls, in that order."""
  _, shapes = _trace(_written_out(model), image_shape)
  return [path for path in shapes if path]


def layer_table(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> list[Layer]:
  """Returns the model and all layers that it calls, in the order of calls.

  Every parameter and every multiply-accumulate is in one row only, that of the
  innermost layer it is in. So the table adds up.
  """
  model = _written_out(model)
  variables, shapes = _trace(model, image_shape)
  parameters, macs = Counter(), Counter()
  for path, leaf in trees.flatten(variables.get("params", {})).items():
    parameters[_innermost(path, shapes)] += leaf.size
  for scopes, count in _macs(model, variables, image_shape).items():
    macs[_path_of(scopes)] += count
  return [
    Layer(path, shape, parameters[path], macs[path])
    for path, shape in shapes.items()
  ]


def at_depth(table: Sequence[Layer], depth: int) -> list[Layer]:
  """Returns the layers of a table down to some depth, and what is in them.

  Args:
    table: as `layer_table` returns it.
    depth: how many names a path may have; 0 leaves the model itself.

  Returns:
    Rows with the parameters and multiply-accumulates of their deepest layers
    added to their own; those that have neither are left out.
  """
  kept = [row for row in table if row.path.count("/") < depth or not row.path]
  paths = {row.path for row in kept}
  parameters, macs = Counter(), Counter()
  for row in table:
    path = _innermost(row.path, paths)
    parameters[path] += row.parameters
    macs[path] += row.macs
  return [
    Layer(row.path, row.output_shape, parameters[row.path], macs[row.path])
    for row in kept
    if parameters[row.path] or macs[row.path]
  ]


def _innermost(path: str, layers: Collection[str]) -> str:
  """Returns the longest beginning of the path that is a layer."""
  while path and path not in layers:
    path = path.rpartition("/")[0]
  return path


def _path_of(scopes: flops.Scopes) -> str:
  """Returns the path of the layer that is called in these name scopes."""
  marks = [each for each in scopes if each.startswith(_LAYER)]
  return marks[-1].removeprefix(_LAYER)


def _macs(
  model: nn.Module, variables: Tree, image_shape: tuple[int, int, int]
) -> Counter[flops.Scopes]:
  """Counts the forward pass by name scopes, among them those of the layers."""

  def mark(call, args, kwargs, context):
    with jax.named_scope(_LAYER + "/".join(context.module.path)):
      return call(*args, **kwargs)

  forward = functools.partial(model.apply, train=False)
  with nn.intercept_methods(mark):
    jaxpr = jax.make_jaxpr(forward)(variables, _one_image(image_shape))
  return flops.multiply_accumulates(jaxpr)


def _trace(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[Tree, dict[str, tuple[int, ...]]]:
  """Returns the variables, and {path: shape of the layer's output}.

  The layers are in the order in which their calls begin.
  """
  shapes = {}

  def observe(call, args, kwargs, context):
    if context.method_name != "__call__":
      return call(*args, **kwargs)
    path = "/".join(context.module.path)
    shapes[path] = ()  # Takes its place before the layers inside.
    outputs = call(*args, **kwargs)
    shapes[path] = jax.tree.leaves(outputs)[0].shape
    return outputs

  with nn.intercept_methods(observe):
    variables = variable_shapes(model, image_shape=image_shape)
  return variables, shapes


def _written_out(model: nn.Module) -> nn.Module:
  """Returns the model without scans over its blocks, which hide the inside."""
  if getattr(model, "scan_layers", False):
    return model.clone(scan_layers=False)
  return model


def _one_image(image_shape: tuple[int, int, int]) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)


def tap(
  model: nn.Module, variables: Tree, images: jax.Array, *, layers: Sequence[str]
) -> dict[str, Any]:
  """Returns what some layers of the model compute, in evaluation mode.

  Args:
    model: any; is not changed.
    variables: of the model.
    images: (b, h, w, c), normalised.
    layers: paths as `layer_names` lists them.

  Returns:
    {path: output}; of a layer that is called several times, its last output.

  Raises:
    ValueError: if the model calls no such layer; names the nearest.
  """
  called = []

  def is_tapped(module: nn.Module, method: str) -> bool:
    path = "/".join(module.path)
    if method == "__call__" and path:
      called.append(path)
    return method == "__call__" and path in layers

  _, captured = _written_out(model).apply(
    variables,
    images,
    train=False,
    capture_intermediates=is_tapped,
    mutable=["intermediates"],
  )
  for path in layers:
    if path not in called:
      raise ValueError(spelling.unknown("layer", path, set(called)))
  return {path: _output(captured["intermediates"], path) for path in layers}


def _output(captured: Tree, path: str) -> Any:
  for name in path.split("/"):
    captured = captured[name]
  return captured["__call__"][-1]


def first_layer(
  model: nn.Module, *, params: Tree, image_shape: tuple[int, int, int]
) -> tuple[str, np.ndarray]:
  """Returns what the first layer looks for, as pictures.

  Of a convolution or a patch embedding these are its kernels; of a layer that
  is fully connected to the pixels, the weights of each output laid out as the
  image (of the linear model: one template per class).

  Args:
    model: whose first layer is meant.
    params: its parameters; all processes that share them must call this.
    image_shape: (h, w, c).

  Returns:
    The path of the parameter, such as "conv1/kernel", and its first 64 filters
    at most, (n, h, w, c) float32.

  Raises:
    ValueError: if the first kernel is not one that reads pixels.
  """
  path = _first_kernel(model, image_shape=image_shape)
  kernel = distributed.whole(trees.flatten(params)[path]).astype(np.float32)
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
