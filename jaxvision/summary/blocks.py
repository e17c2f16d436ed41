"""How deep parameters lie, for learning rates that decay towards the images.

As in BEiT (Bao et al. 2022) and MAE (He et al. 2022), layer 0 is what comes
before the first block, such as the patch embedding, the positions and the class
token; then every block is a layer; the last layer is what comes after the last
block, the classifier with it. A block is a numbered module that holds others
with parameters, as "Transformer/encoderblock_3", "block1/unit02" or "layer1_0".
In a network without blocks, such as VGG, each kernel begins a layer.
"""

from collections.abc import Collection, Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxvision import interpret, trees
from jaxvision.variables import variable_shapes

Tree = Any


def layers(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> dict[str, int]:
  """Returns the layer of each parameter by path, in the order of the tree.

  Args:
    model: any; is only traced.
    image_shape: (h, w, c).
  """
  paths = list(trees.flatten(_params(model, image_shape)))
  # The tree is sorted by name: in which order modules are called is observed.
  order = interpret.layer_names(model, image_shape=image_shape)
  starts = _starts(order, paths)
  layer, layer_of = 0, {"": 0}
  for module in order:
    layer += module in starts
    layer_of[module] = layer
  return {path: layer_of[_innermost(path, layer_of)] for path in paths}


def rate_factors(
  model: nn.Module, *, decay: float, image_shape: tuple[int, int, int]
) -> Tree:
  """Returns decay^(last layer - layer) of each parameter, a tree like them.

  Args:
    model: any; is only traced.
    decay: from a layer to the one before; MAE has 0.65 for fine-tuning ViT-B,
      0.75 for ViT-L.
    image_shape: (h, w, c).
  """
  layer_of = layers(model, image_shape=image_shape)
  last = max(layer_of.values())
  factors = [decay ** (last - layer) for layer in layer_of.values()]
  structure = jax.tree.structure(_params(model, image_shape))
  return jax.tree.unflatten(structure, factors)


def _params(model: nn.Module, image_shape: tuple[int, int, int]) -> Tree:
  return variable_shapes(model, image_shape=image_shape)["params"]


def blocks(model: nn.Module, *, image_shape: tuple[int, int, int]) -> list[str]:
  """Returns the paths of the model's blocks, in the order of calls.

  Args:
    model: any; is only traced.
    image_shape: (h, w, c).
  """
  order = interpret.layer_names(model, image_shape=image_shape)
  return _blocks(order, list(trees.flatten(_params(model, image_shape))))


def _blocks(order: Sequence[str], paths: Sequence[str]) -> list[str]:
  owners = {path.rpartition("/")[0] for path in paths}
  found: list[str] = []
  for module in order:
    is_inside = bool(found) and module.startswith(found[-1] + "/")
    if not is_inside and _is_block(module, owners):
      found.append(module)
  return found


def _starts(order: Sequence[str], paths: Sequence[str]) -> list[str]:
  """The modules with which the layers after layer 0 begin."""
  owners = {path.rpartition("/")[0] for path in paths}
  blocks = _blocks(order, paths)
  if not blocks:
    return [module for module in order if f"{module}/kernel" in paths][1:]
  after = order[order.index(blocks[-1]) + 1 :]
  top = [
    module
    for module in after
    if module in owners and not module.startswith(blocks[-1] + "/")
  ]
  return [*blocks, *top[:1]]


def _is_block(module: str, owners: Collection[str]) -> bool:
  parents = {owner.rpartition("/")[0] for owner in owners}
  return module[-1].isdigit() and module in parents


def _innermost(path: str, modules: Collection[str]) -> str:
  """The module that a parameter belongs to, or is deepest inside of."""
  while path not in modules:
    path = path.rpartition("/")[0]
  return path
