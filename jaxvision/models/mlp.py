"""Multilayer perceptrons on pixels, with an activation or with maxout.

Both flatten the image in the order (row, column, channel), apply the layers
`hidden_0`, `hidden_1`, ... and then the Dense layer `head`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import activations, initializers
from jaxvision.lookup import ranges


class Mlp(nn.Module):
  """Fully connected layers with an elementwise activation.

  Attributes:
    num_classes: length of the logits.
    hidden: width of each hidden layer, first to last; () is a linear model.
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of the hidden kernels, as for
      `jaxvision.layers.initializers`.
    dropout: dropout rate after each hidden layer, in training.
    input_dropout: dropout rate of the pixels, in training.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  hidden: tuple[ranges.Count, ...] = (512, 512)
  activation: str = "relu"
  initializer: str = "he_normal"
  dropout: ranges.Probability = 0.0
  input_dropout: ranges.Probability = 0.0
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised pixels to (b, num_classes) logits."""
    activation = activations.create(self.activation)
    x = _pixels(images, self.input_dropout, train=train)
    for i, width in enumerate(self.hidden):
      x = nn.Dense(
        width,
        kernel_init=initializers.create(self.initializer),
        dtype=self.dtype,
        name=f"hidden_{i}",
      )(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(activation(x))
    return nn.Dense(self.num_classes, dtype=jnp.float32, name="head")(x)


class MaxoutMlp(nn.Module):
  """Hidden units that are the maximum of several affine maps of the input.

  The paper uses dropout and a bound on the norm of each unit's incoming
  weights; this module has only the network and the dropout.

  Attributes:
    num_classes: length of the logits.
    hidden: number of maxout units of each hidden layer, first to last.
    pieces: affine maps per unit; kernels are (inputs, units * pieces), where
      the pieces of a unit are adjacent.
    initializer: initialiser of the hidden kernels, as for
      `jaxvision.layers.initializers`.
    dropout: dropout rate after each hidden layer, in training.
    input_dropout: dropout rate of the pixels, in training.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  hidden: tuple[ranges.Count, ...] = (240, 240)
  pieces: ranges.Count = 5
  initializer: str = "lecun_normal"
  dropout: ranges.Probability = 0.0
  input_dropout: ranges.Probability = 0.0
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised pixels to (b, num_classes) logits."""
    x = _pixels(images, self.input_dropout, train=train)
    for i, units in enumerate(self.hidden):
      x = nn.Dense(
        units * self.pieces,
        kernel_init=initializers.create(self.initializer),
        dtype=self.dtype,
        name=f"hidden_{i}",
      )(x)
      x = activations.maxout(x, pieces=self.pieces)
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(self.num_classes, dtype=jnp.float32, name="head")(x)


def _pixels(images: jax.Array, dropout: float, *, train: bool) -> jax.Array:
  """(b, h, w, c) -> (b, h * w * c), with dropout in training.

  This dropout has a name, so the other layers keep their random numbers.
  """
  drop = nn.Dropout(dropout, deterministic=not train, name="input_dropout")
  return drop(images.reshape(images.shape[0], -1))


_CIFAR = {
  "image_size": 32,
  "mean": (0.5, 0.5, 0.5),
  "std": (0.5, 0.5, 0.5),
  "crop_fraction": 1.0,
}

VARIANTS = {
  "mlp": {
    "module": Mlp,
    "options": {},
    "spec": {
      **_CIFAR,
      "parameters": 2_349_032,
      "gmacs": 0.002347,
      "paper": "Rumelhart et al. 1986, Learning representations by "
      "back-propagating errors",
    },
  },
  "maxout_mlp": {
    "module": MaxoutMlp,
    "options": {},
    "spec": {
      **_CIFAR,
      "parameters": 4_217_800,
      "gmacs": 0.004214,
      "paper": "Goodfellow et al. 2013, Maxout Networks (section 5.1: two "
      "maxout layers)",
    },
  },
}
