"""The table of layers of a model: output shapes, parameters, FLOPs.

It works for each Linen module that maps images (b, h, w, c) to logits with
`__call__(images, *, train)`. `image_shape` is (h, w, c), without batch. A layer
is a Linen module inside the model; its name is its path: "layer3_0/conv2" or
"Transformer/encoderblock_3". The model is only traced.
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

_LAYER = "layer "  # Prefix of the name scopes that mark layers.


@dataclasses.dataclass(frozen=True)
class Layer:
  """A row of a table of layers.

  Attributes:
    path: such as "layer3_0/conv2"; "" for the model itself.
    output_shape: (1, ...), for one image.
    parameters: number of trainable parameters.
    macs: multiply-accumulates of the forward pass of one image.
  """

  path: str
  output_shape: tuple[int, ...]
  parameters: int
  macs: int


def flops_per_image(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> float:
  """Returns the FLOPs of the forward pass of one image.

  A multiply-accumulate (see `jaxvision.summary.flops`) is two FLOPs. A training
  step has about three times as many.
  """
  variables = variable_shapes(model, image_shape=image_shape)
  return 2.0 * _macs(model, variables, image_shape).total()


def layer_table(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> list[Layer]:
  """Returns the model and all layers that it calls, in the order of calls.

  Each parameter and each multiply-accumulate is counted in one row, that of its
  innermost layer. The sum of the rows is the total.
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
  """Returns the layers of a table up to a depth.

  Args:
    table: from `layer_table`.
    depth: maximum number of names in a path; 0 for the model only.

  Returns:
    Rows that include the parameters and multiply-accumulates of deeper layers;
    rows without both are removed.
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
  """Returns the longest prefix of the path that is a layer."""
  while path and path not in layers:
    path = path.rpartition("/")[0]
  return path


def _path_of(scopes: flops.Scopes) -> str:
  """Returns the path of the layer with these name scopes."""
  marks = [each for each in scopes if each.startswith(_LAYER)]
  return marks[-1].removeprefix(_LAYER)


def _macs(
  model: nn.Module, variables: Tree, image_shape: tuple[int, int, int]
) -> Counter[flops.Scopes]:
  """Multiply-accumulates of the forward pass by name scopes, with layers."""

  def mark(call, args, kwargs, context):
    with jax.named_scope(_LAYER + "/".join(context.module.path)):
      return call(*args, **kwargs)

  forward = functools.partial(model.apply, train=False)
  with nn.intercept_methods(mark):
    jaxpr = jax.make_jaxpr(forward)(variables, one_image(image_shape))
  return flops.multiply_accumulates(jaxpr)
