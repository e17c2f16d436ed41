"""The encoder: attention against Flax, dropout and stochastic depth."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import positions, transformer

WIDTH, HEADS = 12, 3


def _tokens(*shape, seed=0):
  return jax.random.normal(jax.random.key(seed), (*shape, WIDTH))


def _attention(**options):
  options = {"num_heads": HEADS, "initializer": "glorot_uniform", **options}
  return transformer.MultiHeadDotProductAttention(dtype="float32", **options)


def _encoder(**options):
  defaults = {
    "depth": 2,
    "mlp_dim": 8,
    "num_heads": HEADS,
    "dropout": 0.0,
    "drop_path": 0.0,
    "activation": "gelu_tanh",
    "norm": "layer_norm",
    "initializer": "glorot_uniform",
    "scan_layers": False,
    "dtype": "float32",
  }
  return transformer.Encoder(**{**defaults, **options})


def _random(shapes):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: 0.5 * rng.normal(size=x.shape).astype(x.dtype), shapes
  )


def _variables(module, x, **options):
  """Returns random variables; the zeros of `init` would hide mistakes."""
  init = functools.partial(module.init, **options)
  return _random(jax.eval_shape(init, jax.random.key(0), x))


@pytest.mark.parametrize("probe", [None, _tokens(2, 1, seed=1)])
def test_attention_is_that_of_flax(probe):
  """The same parameters, and the same result from one product."""
  x = _tokens(2, 5)
  theirs = nn.MultiHeadDotProductAttention(HEADS)
  variables = _variables(_attention(), x)
  init = functools.partial(theirs.init, jax.random.key(0))
  shapes = jax.eval_shape(init, x)
  assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)
  np.testing.assert_allclose(
    jax.jit(_attention().apply)(variables, x, probe=probe),
    jax.jit(theirs.apply)(variables, x if probe is None else probe, x),
    rtol=1e-4,
    atol=1e-5,
  )


def test_queries_keys_and_values_are_one_product():
  x = _tokens(2, 5)
  variables = _variables(_attention(), x)
  jaxpr = jax.make_jaxpr(_attention().apply)(variables, x)
  # This product, keys times queries, weights times values, and `out`.
  assert str(jaxpr).count("dot_general[") == 4


def test_a_tap_of_the_query_returns_the_queries():
  x = _tokens(2, 5)
  variables = _variables(_attention(), x)
  _, state = _attention().apply(
    variables,
    x,
    capture_intermediates=lambda module, _: module.name == "query",
    mutable=["intermediates"],
  )
  (actual,) = state["intermediates"]["query"]["__call__"]
  query = variables["params"]["query"]
  expected = np.einsum("bnw,whs->bnhs", x, query["kernel"]) + query["bias"]
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_rotary_attention_sees_displacements_only():
  """Rotating all tokens equally changes nothing; rotating one token does."""
  x = _tokens(2, 6)
  variables = _variables(_attention(), x)
  angles = positions.rotary((2, 3), head_size=4)
  attend = jax.jit(functools.partial(_attention().apply, variables, x))
  expected = attend(angles=angles)
  actual = attend(angles=angles + np.float32(0.7))
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
  angles[2] += 0.7
  assert np.abs(attend(angles=angles) - expected).max() > 1e-2


def test_heads_must_divide_the_width():
  with pytest.raises(ValueError, match="width 12 is not a multiple of 5 heads"):
    _attention(num_heads=5).init(jax.random.key(0), _tokens(1, 2))


def _gradient(encoder, variables, x, *, train):
  def loss(params):
    y = encoder.apply(
      {"params": params},
      x,
      train=train,
      angles=positions.rotary((1, x.shape[1]), head_size=4),
      rngs={"dropout": jax.random.key(1)},
    )
    return jnp.square(y).sum(), y

  gradient = jax.grad(loss, has_aux=True)
  return jax.jit(gradient)(variables["params"])


def test_scanned_blocks_compute_the_same():
  x = _tokens(2, 4)
  variables = _variables(_encoder(), x, train=False)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4),
    _gradient(_encoder(scan_layers=True), variables, x, train=False),
    _gradient(_encoder(), variables, x, train=False),
  )


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("scan", [False, True])
def test_drop_path_grows_from_zero_to_its_rate(scan):
  """Of rates 0 and 1 the first block always acts, the last never."""
  encoder = _encoder(drop_path=1.0, scan_layers=scan)
  x = _tokens(8, 4)
  variables = _variables(encoder, x, train=False)
  gradient, _ = _gradient(encoder, variables, x, train=True)
  size = {
    name: sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(block))
    for name, block in gradient.items()
  }
  assert size["encoderblock_0"] > 0
  assert size["encoderblock_1"] == 0


def test_any_norm_by_name():
  encoder = _encoder(norm="group_norm(4)", depth=1)
  variables = _variables(encoder, _tokens(2, 4), train=False)
  block = variables["params"]["encoderblock_0"]
  assert block["LayerNorm_0"]["scale"].shape == (WIDTH,)
  ours, theirs = (
    jax.jit(functools.partial(each.apply, train=False))(
      variables, _tokens(2, 4)
    )
    for each in (encoder, _encoder(depth=1))
  )
  assert np.abs(ours - theirs).max() > 1e-2
