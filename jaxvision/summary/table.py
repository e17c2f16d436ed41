"""Look inside any model: its layers, what they cost, what they compute.

Works on every Linen module that maps images (b, h, w, c) to logits with
`__call__(images, *, train)`; `image_shape` is always (h, w, c), without batch.
A layer is a Linen module inside the model, called by its path: "layer3_0/conv2"
or "Transformer/encoderblock_3". Nothing but `tap` runs a model, or allocates.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxvision import trees
from jaxvision.interpret import layers
from jaxvision.summary import flops
from jaxvision.variables import one_image, variable_shapes

Tree = Any

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


def flops_per_image(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> float:
  """Returns the floating-point operations of one image's forward pass.

  Two per multiply-accumulate, which `jaxvision.summary.flops` says how to
  count. A training step is about three times as much.
  """
  variables = variable_shapes(model, image_shape=image_shape)
  return 2.0 * _macs(model, variables, image_shape).total()


def layer_table(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> list[Layer]:
  """Returns the model and all layers that it calls, in the order of calls.

  Every parameter and every multiply-accumulate is in one row only, that of the
  innermost layer it is in. So the table adds up.
  """
  model = layers.written_out(model)
  variables, shapes = layers.trace(model, image_shape)
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
    jaxpr = jax.make_jaxpr(forward)(variables, one_image(image_shape))
  return flops.multiply_accumulates(jaxpr)
