"""The non-linearities that a config can name: (...) to (...), any float dtype.

docs/activations.md has their formulae and sources, and shows how to write one.
The two forms of GELU have names of their own, because published weights need
the one they were trained with: `gelu_tanh` is the approximation of the Flax
ViT files, `gelu_erf` the exact form of the timm and torchvision files.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvision import lookup

Activation = Callable[[jax.Array], jax.Array]

# Above this, tanh(softplus(x)) is 1 in float64 too, and exp(4 x) is still
# finite in float32.
_MISH_IS_LINEAR = 20.0


@jax.custom_vjp
def mish(x: jax.Array) -> jax.Array:
  """x tanh(softplus(x)); Misra 2019, Mish: A Self Regularized Activation.

  Saves only `x` for the backward pass, where the formula as it is written saves
  five arrays of that size. Has no forward-mode derivative, as any `custom_vjp`.

  Args:
    x: of any shape and float dtype; computed in float32 at least.
  """
  ratio, _ = _mish_parts(x)
  return (x * ratio).astype(x.dtype)


def _mish_parts(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns tanh(softplus(x)), and x times the derivative of that.

  With e = exp(x) and n = e (e + 2) they are n / (n + 2) and
  4 x e (e + 1) / (n + 2)^2: one exponential, no difference of large numbers.
  """
  wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  x = jnp.minimum(wide, _MISH_IS_LINEAR)
  e = jnp.exp(x)
  n = e * (e + 2)
  return n / (n + 2), 4 * x * e * (e + 1) / jnp.square(n + 2)


def _mish_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  return mish(x), x


def _mish_backward(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
  # Without the barrier XLA sees that the forward pass has computed the same
  # parts, and keeps those in memory in place of x.
  x = jax.lax.optimization_barrier(x)
  ratio, rest = _mish_parts(x)
  return ((cotangent * (ratio + rest)).astype(x.dtype),)


mish.defvjp(_mish_forward, _mish_backward)


def maxout(x: jax.Array, *, pieces: int, axis: int = -1) -> jax.Array:
  """Returns the largest of every `pieces` neighbours (Goodfellow et al. 2013).

  Not in `ACTIVATIONS`, being no function of single elements.

  Args:
    x: (..., units * pieces, ...), with the pieces of a unit side by side.
    pieces: inputs per unit.
    axis: the one of length units * pieces, which becomes units.

  Raises:
    ValueError: if the pieces do not divide the axis.
  """
  axis %= x.ndim
  if x.shape[axis] % pieces:
    raise ValueError(
      f"{x.shape[axis]} inputs are not a multiple of {pieces} pieces; "
      "give as many inputs as units * pieces"
    )
  shape = (*x.shape[:axis], -1, pieces, *x.shape[axis + 1 :])
  return x.reshape(shape).max(axis=axis + 1)


ACTIVATIONS: dict[str, Activation] = {
  "elu": jax.nn.elu,
  "gelu_erf": functools.partial(jax.nn.gelu, approximate=False),
  "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
  "hard_swish": jax.nn.hard_swish,
  "leaky_relu": jax.nn.leaky_relu,
  "mish": mish,
  "relu": jax.nn.relu,
  "selu": jax.nn.selu,
  "sigmoid": jax.nn.sigmoid,
  "silu": jax.nn.silu,  # Another name of swish.
  "swish": jax.nn.silu,
  "tanh": jnp.tanh,
}


def create(name: str) -> Activation:
  """Returns the elementwise function called `name`, which keeps the dtype.

  Args:
    name: a key of `ACTIVATIONS`, or "FILE.py:FUNCTION" of the user's own.

  Raises:
    ValueError: if there is no such activation; names the nearest.
  """
  found = lookup.find(name, ACTIVATIONS, kind="activation")
  if lookup.is_own(name):
    return functools.partial(_checked, found, lookup.as_written(name))
  return found


def _checked(function: Activation, name: str, x: jax.Array) -> jax.Array:
  """The result of a function of the user's own, if it is elementwise."""
  y = function(x)
  if getattr(y, "shape", None) != x.shape or y.dtype != x.dtype:
    found = f"{getattr(y, 'dtype', type(y).__name__)}{getattr(y, 'shape', '')}"
    raise ValueError(
      f"activation {name} made {found} of {x.dtype}{x.shape}; it must keep "
      "the shape and the dtype"
    )
  return y
