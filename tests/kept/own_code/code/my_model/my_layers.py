"""A residual block, which my_model.py imports."""

from collections.abc import Callable

import flax.linen as nn
import jax


class Residual(nn.Module):
  width: int
  act: Callable[[jax.Array], jax.Array]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return x + nn.Conv(self.width, (3, 3))(self.act(x))
