"""The layers of any model by path, and taps of their outputs.

A layer is a Linen module inside the model: "layer3_0/conv2" or
"Transformer/encoderblock_3". The model is not changed.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxvision import lookup
from jaxvision.variables import variable_shapes

Tree = Any


def layer_names(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> list[str]:
  """Returns the paths of the layers, in the order of calls."""
  _, shapes = trace(written_out(model), image_shape)
  return [path for path in shapes if path]


def trace(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[Tree, dict[str, tuple[int, ...]]]:
  """Returns the variables, and {path: shape of the layer's output}.

  The layers are ordered by the start of their calls.
  """
  shapes = {}

  def observe(call, args, kwargs, context):
    if context.method_name != "__call__":
      return call(*args, **kwargs)
    path = "/".join(context.module.path)
    shapes[path] = ()  # Inserted before the inner layers.
    outputs = call(*args, **kwargs)
    shapes[path] = jax.tree.leaves(outputs)[0].shape
    return outputs

  with nn.intercept_methods(observe):
    variables = variable_shapes(model, image_shape=image_shape)
  return variables, shapes


def written_out(model: nn.Module) -> nn.Module:
  """Returns the model without a scan over its blocks, which hides them."""
  if getattr(model, "scan_layers", False):
    return model.clone(scan_layers=False)
  return model


def tap(
  model: nn.Module, variables: Tree, images: jax.Array, *, layers: Sequence[str]
) -> dict[str, Any]:
  """Returns the outputs of some layers, in evaluation mode.

  Args:
    model: any model; it is not changed.
    variables: the variables of the model.
    images: (b, h, w, c), normalised.
    layers: paths, as from `layer_names`.

  Returns:
    {path: output}; the last output of a layer that is called several times.

  Raises:
    ValueError: the model does not call such a layer; the message has the
      nearest names.
  """
  called = []

  def is_tapped(module: nn.Module, method: str) -> bool:
    path = "/".join(module.path)
    if method == "__call__" and path:
      called.append(path)
    return method == "__call__" and path in layers

  _, captured = written_out(model).apply(
    variables,
    images,
    train=False,
    capture_intermediates=is_tapped,
    mutable=["intermediates"],
  )
  for path in layers:
    if path not in called:
      raise ValueError(lookup.unknown("layer", path, set(called)))
  return {path: _output(captured["intermediates"], path) for path in layers}


def _output(captured: Tree, path: str) -> Any:
  for name in path.split("/"):
    captured = captured[name]
  return captured["__call__"][-1]
