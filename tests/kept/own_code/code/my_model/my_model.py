"""The model of docs/extending.md, as a user writes it."""

import flax.linen as nn
import jax
from my_layers import Residual

from jaxvision import activations, ranges


class Net(nn.Module):
  num_classes: int
  width: ranges.Count = 32
  activation: str = "relu"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    act = activations.create(self.activation)
    x = nn.Conv(self.width, (3, 3), strides=2, name="stem")(images)
    x = Residual(self.width, act, name="block")(x)
    return nn.Dense(self.num_classes, name="head")(x.mean(axis=(1, 2)))


def create(num_classes: int, width: int = 32, activation: str = "relu") -> Net:
  return Net(num_classes, width, activation)
