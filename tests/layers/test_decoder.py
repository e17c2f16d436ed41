"""Tests of the blocks of a decoder: causality, cache and attention weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import decoder

B, N, M, WIDTH, MEMORY = 2, 5, 3, 8, 6


@pytest.fixture(scope="module", params=[True, False], ids=["bias", "no bias"])
def block(request):
  module = decoder.DecoderBlock(
    width=WIDTH,
    memory_width=MEMORY,
    mlp_dim=16,
    num_heads=2,
    dropout=0.5,
    attention_bias=request.param,
    use_bias=request.param,
    initializer="glorot_uniform",
    dtype="float32",
  )
  x, memory, mask = _inputs()

  def run(module, x, memory, mask):
    stored = module.store(memory)
    return module(x, stored, mask=mask, train=False)

  variables = jax.jit(
    lambda key: module.init(key, x, memory, mask, method=run)
  )(jax.random.key(0))
  variables = {"params": variables["params"]}
  apply = jax.jit(
    lambda x, memory: module.apply(variables, x, memory, mask, method=run)
  )
  return module, variables, apply


def _inputs():
  keys = jax.random.split(jax.random.key(1))
  x = jax.random.normal(keys[0], (B, N, WIDTH))
  memory = jax.random.normal(keys[1], (B, M, MEMORY))
  return x, memory, jnp.tril(jnp.ones((1, N, N), bool))


@pytest.mark.matrix("bias")
def test_a_token_depends_on_itself_those_before_it_and_the_whole_memory(block):
  _, _, apply = block
  x, memory, _ = _inputs()
  slopes = jax.jacobian(lambda x: apply(x, memory)[0])(x)[:, :, 0]
  depends = np.abs(slopes).max(axis=(1, 3)) > 0
  np.testing.assert_array_equal(depends, np.tril(np.ones((N, N), bool)))
  slopes = jax.jacobian(lambda memory: apply(x, memory)[0])(memory)
  assert (np.abs(slopes[:, :, 0]).max(axis=(1, 3)) > 0).all()
  assert not np.any(slopes[:, :, 1])  # of the other image


@pytest.mark.matrix("no bias")
def test_steps_with_a_cache_are_the_whole_text(block):
  """Two texts of each image at once."""
  module, variables, apply = block
  x, memory, _ = _inputs()
  texts = jnp.stack([x, x[::-1]], axis=1)  # (b, k, n, width)
  stored = module.apply(variables, memory, method="store")
  zeros = jnp.zeros((2 * B, N, 2, WIDTH // 2))
  cache, found = (zeros, zeros), []
  step = jax.jit(
    lambda x, cache, position: module.apply(
      variables, x, stored, cache, position=position, method="step"
    )
  )
  for position in range(N):
    y, cache = step(texts[:, :, position], cache, jnp.asarray(position))
    found.append(y)
  found = jnp.stack(found, axis=2)
  for k in range(2):
    expected = apply(texts[:, k], memory)
    np.testing.assert_allclose(found[:, k], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.matrix("bias")
def test_attention_weights_are_sown_and_sum_to_one(block):
  module, variables, _ = block
  x, memory, mask = _inputs()
  stored = module.apply(variables, memory, method="store")
  _, sown = module.apply(
    variables, x, stored, mask=mask, train=False, mutable=["attention"]
  )
  (own,) = sown["attention"]["self_attention"]["weights"]
  (cross,) = sown["attention"]["cross_attention"]["weights"]
  assert own.shape == (B, 2, N, N) and cross.shape == (B, 2, N, M)
  np.testing.assert_allclose(own.sum(-1), 1, rtol=1e-5)
  np.testing.assert_allclose(cross.sum(-1), 1, rtol=1e-5)
  assert not np.any(np.triu(np.asarray(own), 1))


def test_heads_that_do_not_divide_the_width_are_refused():
  module = decoder.StoredAttention(8, 8, 3, True, "glorot_uniform", "float32")
  with pytest.raises(ValueError, match="8 is not a multiple of 3 heads"):
    module.init(jax.random.key(0), jnp.ones((1, 2, 8)), method="store")
