"""Cells of searched networks as text: spaces, genotypes, pictures.

A genotype is one line of text that describes the cells of a network, such as
`sep5x5(0)+sep3x3(1) ... / ...` or `|nor_conv_3x3~0|+...`. It is an option of
the models `nasnet_cell` and `nasbench201`. A space lists the decisions that
lead to a genotype. Standard library only: no JAX.
"""

from collections.abc import Callable

from jaxvision import lookup
from jaxvision.genotypes import blocks, nasbench201
from jaxvision.genotypes.drawing import draw
from jaxvision.genotypes.nasnet import ENAS, NASNET_A, enas, nasnet
from jaxvision.genotypes.space import Space

__all__ = [
  "ENAS",
  "NASNET_A",
  "SPACES",
  "Space",
  "blocks",
  "create",
  "draw",
  "nasbench201",
]

# Name of the space -> function that makes it.
SPACES: dict[str, Callable[..., Space]] = {
  "enas": enas,
  "nasbench201": nasbench201.nasbench201,
  "nasnet": nasnet,
}


def create(text: str) -> Space:
  """Returns the space of a text such as "nasnet(blocks=5)" or "nasbench201".

  Raises:
    ValueError: the space or an option is unknown (the message has the nearest
      names), or an option is out of range.
  """
  return lookup.call(text, functions=SPACES, kind="space of genotypes")
