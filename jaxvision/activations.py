"""The non-linearities that a config can name.

The two forms of GELU have names of their own, because published weights need
the one they were trained with: `gelu_tanh` is the approximation of the Flax
ViT files, `gelu_erf` the exact form of the timm and torchvision files.
"""

import functools
from collections.abc import Callable

import jax

from jaxvision import spelling

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "elu": jax.nn.elu,
  "gelu_erf": functools.partial(jax.nn.gelu, approximate=False),
  "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
  "leaky_relu": jax.nn.leaky_relu,
  "relu": jax.nn.relu,
  "sigmoid": jax.nn.sigmoid,
  "silu": jax.nn.silu,
  "tanh": jax.nn.tanh,
}


def create(name: str) -> Callable[[jax.Array], jax.Array]:
  """Returns the elementwise function called `name`, which keeps the dtype.

  Raises:
    ValueError: if there is no such activation; names the nearest.
  """
  if name not in ACTIVATIONS:
    raise ValueError(spelling.unknown("activation", name, ACTIVATIONS))
  return ACTIVATIONS[name]
