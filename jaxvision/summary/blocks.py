"""Blocks of a model, and the layer of each parameter for learning-rate decay.

As in BEiT (Bao et al. 2022) and MAE (He et al. 2022), layer 0 is everything
before the first block, such as the patch embedding, the positions and the class
token. Then each block is a layer. The last layer is everything after the last
block, with the classifier. A block is a numbered module that has submodules
with parameters, as "Transformer/encoderblock_3", "block1/unit02" or "layer1_0".
In a network without blocks, such as VGG, each kernel starts a layer.
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
  """Returns {path of a parameter: layer}, in the order of the tree.

  Args:
    model: any model; it is only traced.
    image_shape: (h, w, c).
  """
  paths = list(trees.flatten(_params(model, image_shape)))
  # The tree is sorted by name, so the order of calls is traced.
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
  """Returns decay^(last layer - layer) for each parameter, as a tree.

  Args:
    model: any model; it is only traced.
    decay: factor between consecutive layers; for fine-tuning, MAE uses 0.65
      with ViT-B and 0.75 with ViT-L.
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
    model: any model; it is only traced.
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
  """The first module of each layer after layer 0."""
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
  """The innermost module that contains a parameter."""
  while path not in modules:
    path = path.rpartition("/")[0]
  return path
