"""Tables of positions against their formulae, one number after another."""

import cmath
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import positions

GRID = (2, 3)  # rows, columns


def test_sincos2d_equals_the_published_definition():
  width = 12
  table = positions.sincos2d(GRID, width=width)
  assert table.shape == (6, width)
  for row in range(2):
    for column in range(3):
      for i in range(3):
        omega = 1 / 10_000 ** (i / 2)  # the last of three is 1 / 10,000
        expected = [
          math.sin(column * omega),
          math.cos(column * omega),
          math.sin(row * omega),
          math.cos(row * omega),
        ]
        np.testing.assert_allclose(
          table[row * 3 + column, i::3], expected, atol=1e-6
        )


@pytest.mark.parametrize("width", [4, 10])
def test_width_without_sincos2d(width):
  with pytest.raises(ValueError, match=f"width {width} .* multiple of 4"):
    positions.sincos2d(GRID, width=width)


def _tokens(*shape, seed=0):
  return jax.random.normal(jax.random.key(seed), shape)


def test_rotary_equals_complex_numbers():
  """A pair is a complex number; half of the pairs rotate with the column."""
  x = _tokens(1, 6, 2, 8)
  actual = positions.rotate(x, positions.rotary(GRID, head_size=8))
  for row in range(2):
    for column in range(3):
      n = row * 3 + column
      for pair in range(4):
        place = column if pair < 2 else row
        angle = place / 100 ** ((pair % 2) / 2)
        for head in range(2):
          a, b = (float(each) for each in x[0, n, head, 2 * pair :][:2])
          turned = complex(a, b) * cmath.exp(1j * angle)
          np.testing.assert_allclose(
            actual[0, n, head, 2 * pair : 2 * pair + 2],
            [turned.real, turned.imag],
            atol=1e-5,
          )


def test_rotary_products_depend_on_the_displacement():
  """Products of a query and a key depend only on their displacement."""
  query, key = (_tokens(1, 1, 1, 8, seed=seed) for seed in (0, 1))
  angles = positions.rotary((4, 5), head_size=8)
  queries, keys = (
    positions.rotate(jnp.broadcast_to(x, (1, 20, 1, 8)), angles)
    for x in (query, key)
  )
  products = np.asarray(jnp.einsum("bqhd,bkhd->qk", queries, keys))
  products = products.reshape(4, 5, 4, 5)
  moved = products[1:, 2:, 1:, 2:]
  np.testing.assert_allclose(moved, products[:-1, :-2, :-1, :-2], atol=1e-4)
  assert np.std(products[0, 0]) > 0.1


def test_heads_without_rotary():
  with pytest.raises(ValueError, match=r"heads of size 6 .* multiple of 4"):
    positions.rotary(GRID, head_size=6)


def test_rotate_by_zero_keeps_values_and_dtype():
  x = _tokens(2, 6, 1, 4).astype(jnp.bfloat16)
  rotated = positions.rotate(x, np.zeros((6, 2), np.float32))
  assert rotated.dtype == jnp.bfloat16
  np.testing.assert_array_equal(rotated, x)


def test_learned_positions_are_one_vector_per_token():
  module = positions.LearnedPositions()
  x = _tokens(2, 40, 16)
  params = module.init(jax.random.key(0), x)["params"]
  table = params["pos_embedding"]
  assert table.shape == (1, 40, 16)
  assert np.std(table) == pytest.approx(16**-0.5, rel=0.1)
  np.testing.assert_array_equal(
    module.apply({"params": params}, x), x + jnp.tile(table, (2, 1, 1))
  )


def test_learned_positions_of_another_size_are_explained():
  module = positions.LearnedPositions()
  variables = module.init(jax.random.key(0), _tokens(1, 5, 8))
  with pytest.raises(ValueError, match=r"for 5 tokens.*have 10.*interpolate"):
    module.apply(variables, _tokens(1, 10, 8))
