"""The initialisations that a model can be given by name.

Each is a function (key, shape, dtype) -> array, as `jax.nn.initializers` makes
them, for kernels whose last axis are the outputs.
"""

import jax
from jax.nn import initializers

from jaxvision import spelling

INITIALIZERS = {
  "glorot_normal": initializers.glorot_normal(),
  "glorot_uniform": initializers.glorot_uniform(),
  "he_normal": initializers.he_normal(),
  "lecun_normal": initializers.lecun_normal(),
  "zeros": initializers.zeros,
}


def create(name: str) -> jax.nn.initializers.Initializer:
  """Returns the initialisation called `name`.

  Raises:
    ValueError: if there is none of that name; names the nearest.
  """
  if name not in INITIALIZERS:
    raise ValueError(spelling.unknown("initializer", name, INITIALIZERS))
  return INITIALIZERS[name]
