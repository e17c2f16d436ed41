"""The encoder of a captioner: the tokens that a model makes of an image.

Any model can be the encoder, unchanged: the tokens are the output of one of its
layers. A feature map (b, h, w, c) gives h * w tokens of c numbers, row by row,
and a vector (b, c) gives one token. What the model computes after this layer is
not used, and is removed by the compiler.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision import lookup

Tree = Any


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A model as an encoder.

  Attributes:
    model: called as model(images, train=...).
    layer: path of the layer whose output is used.
    shape: of the output for one image: (h, w, c), (n, c) or (c,).
  """

  model: nn.Module
  layer: str
  shape: tuple[int, ...]

  @property
  def width(self) -> int:
    """The length of a token."""
    return self.shape[-1]

  @property
  def grid(self) -> tuple[int, int] | None:
    """(rows, columns) of the tokens; None if they are not in a grid.

    A square number of tokens is a square grid, also after a class token.
    """
    if len(self.shape) == 3:
      return self.shape[:2]
    count = self.shape[0] if len(self.shape) == 2 else 0
    side = math.isqrt(count)
    return (side, side) if side > 1 and count - side**2 in (0, 1) else None

  def tokens(
    self, variables: Tree, images: jax.Array, **arguments: Any
  ) -> tuple[jax.Array, Tree]:
    """(b, m, width), and the changed variables.

    Args:
      variables: of the model.
      images: (b, h, w, c), normalised.
      **arguments: of `model.apply`, with `train`.
    """
    arguments.setdefault("mutable", [])
    with _outputs() as found:
      _, changed = self.model.apply(variables, images, **arguments)
    output = found[self.layer]
    return output.reshape(len(images), -1, self.width), changed


def make(
  model: nn.Module, *, image_shape: tuple[int, int, int], layer: str = ""
) -> Encoder:
  """The encoder of a model.

  Args:
    model: any model; it is only traced.
    image_shape: (h, w, c).
    layer: path of a layer, as of `jaxvision.interpret.layer_names`. "" is the
      last part of the model whose output is a map or several tokens; of a model
      without one, the last layer before the classifier. An activation is not a
      layer. So this is not the map that is pooled if an activation is between
      them: of EfficientNet it is "bn2", of BiT "norm-pre-head".

  Raises:
    ValueError: the model has no such layer.
  """
  shapes = _shapes(model, image_shape)
  if not layer:
    layer = _last_map(shapes) or _before_classifier(shapes)
  if layer not in shapes:
    raise ValueError(lookup.unknown("task.options.layer", layer, list(shapes)))
  return Encoder(model, layer, shapes[layer])


def _shapes(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
  """{path: shape of its output for one image}, by the end of the last call."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)

  names = []

  def outputs(images: jax.Array) -> list[jax.Array]:
    with _outputs() as found:
      model.init(jax.random.key(0), images, train=False)
    names.extend(found)
    return list(found.values())

  arrays = jax.eval_shape(outputs, images)
  return {
    name: each.shape[1:]
    for name, each in zip(names, arrays, strict=True)
    if each.ndim > 1 and each.shape[0] == 1
  }


@contextlib.contextmanager
def _outputs() -> Iterator[dict[str, jax.Array]]:
  """Collects the outputs of the layers of the model that is called inside."""
  found: dict[str, jax.Array] = {}

  def observe(call, args, kwargs, context):
    output = call(*args, **kwargs)
    path = "/".join(context.module.path)
    if context.method_name == "__call__" and isinstance(output, jax.Array):
      found.pop(path, None)
      found[path] = output
    return output

  with nn.intercept_methods(observe):
    yield found


def _last_map(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
  """The last part of the model with several tokens, an outer one first."""
  maps = [
    path
    for path, shape in shapes.items()
    if path and len(shape) in (2, 3) and max(shape[:-1]) > 1
  ]
  outer = [path for path in maps if "/" not in path]
  return next(reversed(outer or maps), None)


def _before_classifier(shapes: Mapping[str, tuple[int, ...]]) -> str:
  """The last layer with a vector, before the one of the logits."""
  vectors = [path for path, shape in shapes.items() if path and len(shape) == 1]
  return vectors[-2] if len(vectors) > 1 else vectors[-1]
