"""Sanity check: do heat maps depend on what the network has learnt?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim 2018 (Sanity Checks for
Saliency Maps, arXiv 1810.03292), section 3.1: cascading randomisation. The
layers get new initial parameters from the top layer down. The maps of the
changed network are compared with those of the trained network by Spearman's
rank correlation of their pixels. A map that stays the same does not explain
what was learnt.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxvision import interpret
from jaxvision.variables import variable_shapes

Tree = Any


def layers_from_the_top(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> tuple[str, ...]:
  """The paths of the layers that have parameters, the last one first.

  Layers are ordered by the start of their calls. The parameters of the model
  itself, whose path is "", are the lowest layer.
  """
  shapes = variable_shapes(model, image_shape=image_shape)["params"]
  names = interpret.layer_names(model, image_shape=image_shape)
  places = {path: place for place, path in enumerate(names)}
  leaves, _ = jax.tree.flatten_with_path(shapes)
  holders = dict.fromkeys(_holder(keys) for keys, _ in leaves)

  def place(path: str) -> int:
    while path and path not in places:
      path = path.rpartition("/")[0]
    return places.get(path, -1)

  return tuple(sorted(holders, key=place, reverse=True))


def _holder(keys: Sequence[Any]) -> str:
  """The path of the layer that holds a parameter."""
  return "/".join(each.key for each in keys[:-1])


def cascade(layers: Sequence[str], *, stages: int) -> list[tuple[str, ...]]:
  """The layers that are random in each stage.

  The first stage is the top layer alone, and the last one all layers. The other
  layers are divided evenly.

  Args:
    layers: from the top.
    stages: their number; at most one for each layer is used.
  """
  stages = min(stages, len(layers))
  if stages == 1:
    return [tuple(layers)]
  ends = np.linspace(1, len(layers), stages).round().astype(int)
  return [tuple(layers[:end]) for end in ends]


def randomized(trained: Tree, drawn: Tree, layers: Sequence[str]) -> Tree:
  """The trained variables, with those of some layers replaced by drawn ones.

  Statistics, such as those of batch normalisation, are replaced with the
  parameters of their layer.
  """
  chosen = set(layers)

  def choose(keys: Sequence[Any], old: jax.Array, new: jax.Array) -> jax.Array:
    return new if _holder(keys[1:]) in chosen else old

  return jax.tree.map_with_path(choose, trained, drawn)


def rank_correlations(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Spearman's rank correlation of each pair of maps, (b,) float64.

  Equal pixels have their mean rank. It is 0 if a map is constant, because a
  constant map agrees with no order.

  Args:
    maps, others: (b, h, w).
  """
  from scipy import stats

  ranks = [
    stats.rankdata(each.reshape(len(each), -1), axis=1)
    for each in (maps, others)
  ]
  a, b = (each - each.mean(axis=1, keepdims=True) for each in ranks)
  scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
  return (a * b).sum(axis=1) / np.where(scale > 0, scale, np.inf)


def correlations(
  explain: Callable[[Tree], np.ndarray],
  trained: Tree,
  drawn: Tree,
  stages: Sequence[Sequence[str]],
  *,
  maps: np.ndarray,
) -> np.ndarray:
  """The rank correlations in each stage of a cascade, (stages, b).

  Args:
    explain: variables -> maps (b, h, w).
    trained: the variables of the trained network.
    drawn: new initial variables.
    stages: as from `cascade`.
    maps: of the trained network, (b, h, w).
  """
  return np.stack(
    [
      rank_correlations(maps, explain(randomized(trained, drawn, layers)))
      for layers in stages
    ]
  )
