"""Initialisers by name, as text.

`create("normal(0.01)")` returns a function (key, shape, dtype) -> array, as in
`jax.nn.initializers`. Kernels are (inputs, outputs) or (h, w, inputs of one
group, outputs). fan_in is the product of all axes except the last, fan_out the
product of all axes except the second-last. The fan_in of a depthwise kernel (k,
k, 1, c) is k^2, and its fan_out is k^2 c, although each input reaches only k^2
outputs: if a paper divides fan_out by the groups, use the fan_in form.

Names of JAX have the meaning of JAX: lecun_normal, glorot_normal and he_normal
are truncated at two standard deviations and rescaled to the variance of their
formula. All other Gaussians are not truncated, as in torch.

The draws differ from those of `jax.nn.initializers`, which draw each kernel in
its own shape: for a ResNet-50, XLA:CPU then needs 26 s of CPU time to compile
instead of 19 s (n=1, two shared cores). Another draw would change all runs of a
seed.

Published choices, kernels of convolutions and then of Dense layers:

  AlexNet 2012    normal(0.01)        normal(0.01); Caffe's hidden ones: 0.005
  VGG             normal(0.1); torchvision: he_normal_fan_out, normal(0.01)
  ResNet          he_normal_fan_out   torch_uniform (torchvision)
  EfficientNet    he_normal_fan_out   uniform_fan_out
  ShuffleNet v2   normal_of_inputs, normal(0.01) for the first and for Dense
  ViT             lecun_normal        glorot_uniform
  Mixer           lecun_normal        lecun_normal
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import lookup
from jaxvision.lookup import ranges

Initializer = jax.nn.initializers.Initializer

# Standard deviation of a standard Gaussian that is truncated at -2 and 2.
_STD_WITHIN_TWO = 0.87962566103423978

# Number of values above which drawing is slower than compiling a generator.
_LARGE = 2**22

# (key, shape, dtype) -> array of mean 0 and variance 1.
_SAMPLERS = {
  "normal": jax.random.normal,
  "truncated": lambda key, shape, dtype: (
    jax.random.truncated_normal(key, -2, 2, shape, dtype) / _STD_WITHIN_TWO
  ),
  "uniform": lambda key, shape, dtype: (
    math.sqrt(3) * jax.random.uniform(key, shape, dtype, -1)
  ),
}


def _draw(
  key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike, *, sampler: str
) -> jax.Array:
  """Returns a sample of this shape, with less compilation.

  XLA:CPU compiles a generator for each shape, which takes half a second for
  many axes. So on CPU this draws a vector with one of few lengths: element i of
  a sample depends on the key and on i only.
  """
  size = math.prod(shape)
  if jax.default_backend() != "cpu" or size < 2:
    return _SAMPLERS[sampler](key, shape, dtype)
  if size > _LARGE:
    return _SAMPLERS[sampler](key, (size,), dtype).reshape(shape)
  unit = 1 << max(0, size.bit_length() - 3)  # at most a quarter too much
  values = _SAMPLERS[sampler](key, (-(-size // unit) * unit,), dtype)
  # Without the barrier, XLA fuses the slice into the generator.
  return jax.lax.optimization_barrier(values)[:size].reshape(shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
  """Returns (fan_in, fan_out) of a kernel (..., inputs, outputs)."""
  size = math.prod(shape)
  return size // shape[-1], size // shape[-2]


def _scaled(sampler: str, std: Callable[..., float]) -> Initializer:
  """Returns the initialiser with the standard deviation std(shape)."""

  def draw(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
  ) -> jax.Array:
    if 0 in shape:
      raise ValueError(
        f"a kernel of shape {tuple(shape)} is empty: with these options of the "
        "model a layer has no channels; give it more channels"
      )
    values = _draw(key, tuple(shape), dtype, sampler=sampler)
    return values * jnp.asarray(std(shape), dtype)

  return draw


def zeros() -> Initializer:
  """Zeros, for biases, and for heads that start with equal logits."""
  return jax.nn.initializers.zeros


def normal(std: ranges.NonNegative = 0.01) -> Initializer:
  """Gaussian with the given standard deviation, independent of the fans."""
  return _scaled("normal", lambda shape: std)


def truncated_normal(std: ranges.NonNegative = 0.02) -> Initializer:
  """Gaussian truncated at two standard deviations, then scaled to `std`.

  The variance after the truncation is `std` squared, as in TensorFlow's
  VarianceScaling. (torch's trunc_normal_ has a smaller variance.)
  """
  return _scaled("truncated", lambda shape: std)


def normal_of_inputs() -> Initializer:
  """Gaussian with standard deviation 1 / inputs of a group (ShuffleNet's code).

  Inputs are counted once, not per tap; kernels are (..., inputs, outputs).
  """
  return _scaled("normal", lambda shape: 1 / shape[-2])


def glorot_normal() -> Initializer:
  """Variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 12)."""
  return _scaled("truncated", lambda shape: math.sqrt(2 / sum(_fans(shape))))


def glorot_uniform() -> Initializer:
  """The same variance, uniform (equation 16); or Xavier uniform."""
  return _scaled("uniform", lambda shape: math.sqrt(2 / sum(_fans(shape))))


def he_normal() -> Initializer:
  """Variance 2 / fan_in (He et al. 2015, Delving Deep, equation 10)."""
  return _scaled("truncated", lambda shape: math.sqrt(2 / _fans(shape)[0]))


def he_normal_fan_out() -> Initializer:
  """Gaussian of variance 2 / fan_out (He et al. 2015, equation 14)."""
  return _scaled("normal", lambda shape: math.sqrt(2 / _fans(shape)[1]))


def lecun_normal() -> Initializer:
  """Variance 1 / fan_in (LeCun et al. 1998, section 4.6); Flax's default."""
  return _scaled("truncated", lambda shape: math.sqrt(1 / _fans(shape)[0]))


def torch_uniform() -> Initializer:
  """Uniform between +-1 / sqrt(fan_in), the default of torch's layers."""
  return _scaled("uniform", lambda shape: math.sqrt(1 / 3 / _fans(shape)[0]))


def uniform_fan_out() -> Initializer:
  """Uniform between +-1 / sqrt(fan_out)."""
  return _scaled("uniform", lambda shape: math.sqrt(1 / 3 / _fans(shape)[1]))


INITIALIZERS: dict[str, Callable[..., Initializer]] = {
  "glorot_normal": glorot_normal,
  "glorot_uniform": glorot_uniform,
  "he_normal": he_normal,
  "he_normal_fan_out": he_normal_fan_out,
  "lecun_normal": lecun_normal,
  "normal": normal,
  "normal_of_inputs": normal_of_inputs,
  "torch_uniform": torch_uniform,
  "truncated_normal": truncated_normal,
  "uniform_fan_out": uniform_fan_out,
  "zeros": zeros,
}


def create(text: str) -> Initializer:
  """Returns the initialiser of a text: "he_normal", "normal(0.1)".

  Raises:
    ValueError: the name is unknown (the message has the nearest names), or its
      arguments are wrong.
  """
  return lookup.call(text, functions=INITIALIZERS, kind="initializer")
