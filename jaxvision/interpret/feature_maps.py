"""Feature maps of any model: the layers that have one, values and gradients.

A feature map is the output of a layer as (b, rows, columns, c). Tokens (b, n,
c) of patches are one, too, without class tokens and registers: class tokens
come before the patches, and the model's `registers` come after them. The model
is not changed.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision import lookup
from jaxvision.interpret import layers, scores

Tree = Any
Shape = tuple[int, ...]
_LISTED = 8  # layers of a message


@dataclasses.dataclass(frozen=True)
class Call:
  """A call of a layer: its path, and shapes of first input and of output."""

  path: str
  input_shape: Shape
  output_shape: Shape


@dataclasses.dataclass(frozen=True)
class Grid:
  """The positions of a feature map.

  Attributes:
    rows, columns: of the map.
    is_tokens: whether the positions are tokens (b, n, c).
    before: number of class tokens before the patches.
    after: number of registers after the patches.
  """

  rows: int
  columns: int
  is_tokens: bool = False
  before: int = 0
  after: int = 0

  @property
  def size(self) -> int:
    """The number of positions."""
    return self.rows * self.columns

  @property
  def tokens(self) -> int:
    """The number of all tokens."""
    return self.before + self.size + self.after

  @property
  def patches(self) -> slice:
    """The places of the patches among the tokens."""
    return slice(self.before, self.before + self.size)


def calls(model: nn.Module, variables: Tree, images: Any) -> list[Call]:
  """Returns the calls of the layers, in the order of their ends.

  The model is only traced, so arrays may be `jax.ShapeDtypeStruct`.
  """
  found = []

  def observe(call, args, kwargs, context):
    output = call(*args, **kwargs)
    path = "/".join(context.module.path)
    if context.method_name == "__call__" and path:
      found.append(Call(path, _shape(args), _shape(output)))
    return output

  apply = functools.partial(layers.written_out(model).apply, train=False)
  with nn.intercept_methods(observe):
    jax.eval_shape(apply, variables, images)
  return found


def _shape(arrays: Any) -> Shape:
  """Returns the shape of the first array, () without arrays."""
  shaped = [x for x in jax.tree.leaves(arrays) if hasattr(x, "shape")]
  return tuple(shaped[0].shape) if shaped else ()


def patch_grid(model: nn.Module, found: Sequence[Call]) -> Grid | None:
  """Returns the grid of the longest sequence of tokens.

  The patches are the positions of the `patch_embedding`. Sequences are read
  from the layers that keep tokens of the embedding's width, because a layer
  across the patches has channels (b, c, n) in their place.

  Returns:
    None for a model without tokens of patches.
  """
  if (embedding := patch_embedding(found)) is None:
    return None
  grid, width = _positions(embedding), embedding.output_shape[-1]
  shapes = [
    call.output_shape
    for call in found
    if call.input_shape == call.output_shape and len(call.output_shape) == 3
  ]
  tokens = [n for _, n, c in shapes if n >= grid.size and c == width]
  if not tokens:
    return None
  after = getattr(model, "registers", 0)
  before = max(tokens) - grid.size - after
  return Grid(grid.rows, grid.columns, True, before, after)


def patch_embedding(found: Sequence[Call]) -> Call | None:
  """Returns the last call that reads a map (b, h, w, c) and has positions."""
  reading = [
    call for call in found if len(call.input_shape) == 4 and _positions(call)
  ]
  return reading[-1] if reading else None


def _positions(call: Call) -> Grid | None:
  """The rows and columns that a layer makes of a map."""
  shape = call.output_shape
  if len(shape) == 4:
    return Grid(*shape[1:3])
  if len(shape) != 3:
    return None
  h, w = call.input_shape[1:3]
  side = (h * w / shape[1]) ** 0.5  # of a patch
  grid = Grid(round(h / side), round(w / side))
  return grid if grid.size == shape[1] else None


def grids(model: nn.Module, found: Sequence[Call]) -> dict[str, Grid]:
  """Returns {path: grid} of the layers with a map, by the end of calls."""
  patches, known = patch_grid(model, found), {}
  for call in found:
    grid = _grid(call, patches)
    known.pop(call.path, None)
    if grid is not None:
      known[call.path] = grid
  return known


def _grid(call: Call, patches: Grid | None) -> Grid | None:
  shape = call.output_shape
  if len(shape) == 4 and len(call.input_shape) == 4:
    return Grid(*shape[1:3])
  if len(shape) != 3 or patches is None:
    return None
  others = shape[1] - patches.size
  before = patches.before if others >= patches.before else 0
  after = others - before
  if after not in (0, patches.after):
    return None
  return dataclasses.replace(patches, before=before, after=after)


def default_layer(known: Mapping[str, Grid]) -> str | None:
  """Returns the layer for class activation maps, None if no layer fits.

  It is the last layer to end with a map of more than one position. For tokens
  it is the first normalisation of the last block, `LayerNorm_0`: behind the
  last attention, the patches have no effect on a class token.
  """
  maps = [path for path, grid in known.items() if grid.size > 1]
  norms = [
    path
    for path in maps
    if known[path].is_tokens and path.endswith("/LayerNorm_0")
  ]
  return next(reversed(norms or maps), None)


def choose(
  model: nn.Module, found: Sequence[Call], layer: str | None
) -> tuple[str, Grid]:
  """Returns the path of a layer with a map, and its grid.

  Args:
    model: the model.
    found: its calls.
    layer: None for the default layer.

  Raises:
    ValueError: the model has no such layer, or the layer has no map; lists the
      last layers with a map.
  """
  known = grids(model, found)
  chosen = layer or default_layer(known)
  if chosen is None:
    raise ValueError(
      f"no layer of {type(model).__name__} has a map of more than one position "
      "for these images; use larger images, or a method without a feature map, "
      "such as gradient"
    )
  paths = {call.path for call in found}
  if chosen not in paths:
    raise ValueError(lookup.unknown("layer", chosen, paths))
  if chosen not in known:
    listed = ", ".join(list(known)[-_LISTED:]) or "none"
    raise ValueError(
      f"the output of layer {chosen!r} is not a map (b, h, w, c) or the tokens "
      f"of patches; the last layers with a map: {listed}"
    )
  return chosen, known[chosen]


def check(model: nn.Module, variables: Tree, images: Any) -> None:
  """Raises ValueError for a model without a feature map; traces only."""
  choose(model, calls(model, variables, images), None)


def as_map(x: jax.Array, grid: Grid) -> jax.Array:
  """Returns (b, h, w, c), or tokens (b, n, c), as (b, rows, columns, c)."""
  if grid.is_tokens:
    x = x[:, grid.patches]
  return x.reshape(x.shape[0], grid.rows, grid.columns, x.shape[-1])


def map_and_gradient(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  layer: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Returns a feature map, and the gradient of the targets' logits by it.

  Zeros are added to the map, and the gradient is by the zeros. So only the
  layers behind the map are differentiated.

  Args:
    model: any model.
    variables: the variables of the model.
    images: (b, h, w, c), normalised.
    targets: (b,) int32.
    layer: path, as from `layer_names`; None for `default_layer`.

  Returns:
    Two (b, rows, columns, c) float32.

  Raises:
    ValueError: as `choose`.
  """
  found = calls(model, variables, images)
  layer, grid = choose(model, found, layer)
  times = sum(call.path == layer for call in found)

  def total(zeros: jax.Array) -> tuple[jax.Array, jax.Array]:
    logits, output = _added(
      model, variables, images, layer=layer, times=times, zeros=zeros
    )
    return scores.of_targets(logits, targets).sum(), output

  shape = [call.output_shape for call in found if call.path == layer][-1]
  gradient, output = jax.grad(total, has_aux=True)(jnp.zeros(shape))
  return as_map(output, grid), as_map(gradient, grid)


def _added(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  *,
  layer: str,
  times: int,
  zeros: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Returns logits and a layer's output float32, with zeros added to it.

  The output is that of the last one of several calls.
  """
  outputs = []

  def observe(call, args, kwargs, context):
    output = call(*args, **kwargs)
    is_call = context.method_name == "__call__"
    if not is_call or "/".join(context.module.path) != layer:
      return output
    outputs.append(output)
    return (
      output + zeros.astype(output.dtype) if len(outputs) == times else output
    )

  with nn.intercept_methods(observe):
    logits = layers.written_out(model).apply(variables, images, train=False)
  return logits, outputs[-1].astype(jnp.float32)
