"""Multiply-accumulates of single operations, and of name scopes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxvision.summary import flops

X = jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")


def _layer(layer):
  return lambda x: layer.init_with_output(jax.random.key(0), x)[0]


def _scanned(x):
  return jax.lax.scan(lambda y, _: (y @ jnp.ones((3, 3)), None), x, length=7)[0]


@jax.custom_vjp
def _product(x, kernel):
  return x @ kernel


_product.defvjp(
  lambda x, kernel: (x @ kernel, (x, kernel)),
  lambda saved, cotangent: (cotangent @ saved[1].T, None),
)


def _one_form_per_platform(x):
  """A product that is elementwise on one platform."""
  return jax.lax.platform_dependent(
    x,
    jnp.ones((3, 5)),
    cpu=lambda x, kernel: (x[..., None] * kernel[None, None, None]).sum(-2),
    default=_product,
  )


@pytest.mark.parametrize(
  "function, expected",
  [
    (_layer(nn.Dense(7)), 8 * 8 * 3 * 7),
    (
      _layer(nn.Conv(6, (3, 5), strides=2, padding=((1, 1), (2, 2)))),
      4 * 4 * 3 * 5 * 3 * 6,
    ),
    (
      _layer(nn.Conv(6, (3, 3), feature_group_count=3)),
      8 * 8 * 3 * 3 * 6,  # each output reads one channel
    ),
    (lambda x: jnp.einsum("bhwc,bhvc->bhwv", x, x), 8 * 8 * 8 * 3),
    (jax.checkpoint(lambda x: x @ jnp.ones((3, 4))), 64 * 12),
    (_scanned, 64 * 9 * 7),
    (
      lambda x: jax.lax.cond(
        x.sum() > 0, lambda: x @ jnp.ones((3, 2)), lambda: x[..., :2]
      ),
      64 * 6,
    ),
    (lambda x: _product(x, jnp.ones((3, 5))), 64 * 15),
    (_one_form_per_platform, 64 * 15),
    (lambda x: nn.gelu(x), 0),
  ],
  ids=[
    *("dense", "conv", "grouped", "einsum", "remat", "scan", "cond"),
    *("custom_vjp", "platform", "elementwise"),
  ],
)
def test_counts_of_single_operations(function, expected):
  counts = flops.multiply_accumulates(jax.make_jaxpr(function)(X))
  assert counts.total() == expected


def test_counts_are_by_name_scope():
  """Also for a function that is traced once and called in several scopes."""
  product = jax.jit(lambda x: x @ x.swapaxes(1, 2))

  def function(x):
    x = x[..., 0]
    with jax.named_scope("outer"):
      x = product(x)
      with jax.named_scope("a/b"):
        x = product(product(x))
    return product(x) @ x

  counts = flops.multiply_accumulates(jax.make_jaxpr(function)(X))
  assert counts == {
    ("outer",): 8**3,
    ("outer", "a/b"): 2 * 8**3,
    (): 2 * 8**3,
  }
