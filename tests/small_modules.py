"""Small Linen modules for tests, and random arrays for their variables."""

import flax.linen as nn
import jax
import numpy as np

from jaxvision.variables import variable_shapes


def random_arrays(shapes):
  """Normal random numbers with the shapes and types of a tree."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(x.dtype), shapes
  )


def random_params(model, image_shape):
  """Random parameters of a model for images (h, w, c)."""
  shapes = variable_shapes(model, image_shape=image_shape)
  return random_arrays(shapes["params"])


class _Mixing(nn.Module):
  """Weights tokens by their similarity: products outside of any layer."""

  @nn.compact
  def __call__(self, x):
    alike = x @ x.swapaxes(1, 2)
    return nn.LayerNorm(name="norm")(nn.Dense(6, name="value")(alike @ x))


class _Encoder(nn.Module):
  @nn.compact
  def __call__(self, x):
    for i in range(2):
      x = _Mixing(name=f"block_{i}")(x)
    return x


class Nested(nn.Module):
  """Has parameters and products at every depth."""

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(6, (2, 2), strides=2, padding=0, name="patches")(images)
    x = nn.relu(x).reshape(x.shape[0], -1, 6)
    x = x + self.param("positions", nn.initializers.ones, (1, *x.shape[1:]))
    x = nn.Dropout(0.5, deterministic=not train, name="dropout")(x)
    x = _Encoder(name="encoder")(x)
    return nn.Dense(3, name="head")(x.mean(axis=1))


class Twice(nn.Module):
  """Calls a layer twice, the second time on a smaller input."""

  @nn.compact
  def __call__(self, images, *, train):
    del train
    shared = nn.Dense(3, name="shared")
    return shared(shared(images)[:, 1:]).mean(axis=(1, 2))


def random_variables(model, image_shape):
  """Random variables of a model whose outputs stay in the order of 1.

  Scales and variances are positive; other values have the variance 1 / fan_in.
  """
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      values = rng.uniform(0.5, 1.5, leaf.shape)
    else:
      fan_in = max(1, np.prod(leaf.shape[:-1]))
      values = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
    return values.astype(leaf.dtype)

  shapes = variable_shapes(model, image_shape=image_shape)
  return jax.tree.map_with_path(draw, shapes)
