"""Activation functions by name: (...) to (...), any float dtype.

docs/activations.md has the formulae and sources, and shows how to add one. The
two forms of GELU have separate names, because published weights need the form
of their training: `gelu_tanh` is the approximation in Flax ViT files,
`gelu_erf` the exact form in files of timm and torchvision.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvision import lookup

Activation = Callable[[jax.Array], jax.Array]

# Above this value tanh(softplus(x)) is 1, also in float64; exp(4 x) is finite
# in float32.
_MISH_IS_LINEAR = 20.0


@jax.custom_vjp
def mish(x: jax.Array) -> jax.Array:
  """x tanh(softplus(x)); Misra 2019, Mish: A Self Regularized Activation.

  Saves only `x` for the backward pass; autodiff of the formula would save five
  arrays of this size. It has no forward-mode derivative, because it is a
  `custom_vjp`.

  Args:
    x: any shape and float dtype; computed in float32 at least.
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
  # Without the barrier, XLA reuses the parts of the forward pass and keeps them
  # in memory instead of x.
  x = jax.lax.optimization_barrier(x)
  ratio, rest = _mish_parts(x)
  return ((cotangent * (ratio + rest)).astype(x.dtype),)


mish.defvjp(_mish_forward, _mish_backward)


def maxout(x: jax.Array, *, pieces: int, axis: int = -1) -> jax.Array:
  """Returns the maximum of each `pieces` neighbours (Goodfellow et al. 2013).

  It is not in `ACTIVATIONS`, because it is not elementwise.

  Args:
    x: (..., units * pieces, ...); the pieces of a unit are adjacent.
    pieces: inputs per unit.
    axis: axis of length units * pieces; its new length is units.

  Raises:
    ValueError: the pieces do not divide the axis.
  """
  axis %= x.ndim
  if x.shape[axis] % pieces:
    raise ValueError(
      f"{x.shape[axis]} inputs are not a multiple of {pieces} pieces; "
      "give units * pieces inputs"
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
  "relu6": jax.nn.relu6,
  "selu": jax.nn.selu,
  "sigmoid": jax.nn.sigmoid,
  "silu": jax.nn.silu,  # Another name of swish.
  "swish": jax.nn.silu,
  "tanh": jnp.tanh,
}


def create(name: str) -> Activation:
  """Returns the elementwise function with this name; it keeps the dtype.

  Args:
    name: a key of `ACTIVATIONS`, or "FILE.py:FUNCTION" for the user's own.

  Raises:
    ValueError: the activation is unknown; the message has the nearest names.
  """
  found = lookup.find(name, ACTIVATIONS, kind="activation")
  if lookup.is_own(name):
    return functools.partial(_checked, found, lookup.as_written(name))
  return found


def _checked(function: Activation, name: str, x: jax.Array) -> jax.Array:
  """Applies the user's own function, and checks that it is elementwise."""
  y = function(x)
  if getattr(y, "shape", None) != x.shape or y.dtype != x.dtype:
    found = f"{getattr(y, 'dtype', type(y).__name__)}{getattr(y, 'shape', '')}"
    raise ValueError(
      f"activation {name} returned {found} for {x.dtype}{x.shape}; it must "
      "keep the shape and the dtype"
    )
  return y
