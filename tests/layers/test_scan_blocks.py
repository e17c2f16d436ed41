"""Scanned blocks give the same results as a loop over the blocks."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import layers
from jaxvision.layers import scan_blocks


class _Block(nn.Module):
  drop_path: float = 0.0

  @nn.compact
  def __call__(self, x, *, train):
    y = nn.Dense(x.shape[-1])(x)
    y = nn.BatchNorm(use_running_average=not train, name="bn")(y)
    return x + layers.DropPath(self.drop_path)(nn.tanh(y), train=train)


class _Model(nn.Module):
  scan: bool
  rate: float = 0.0
  depth: int = 3

  @nn.compact
  def __call__(self, x, *, train):
    blocks = [
      _Block(self.rate * i, name=f"block_{i}") for i in range(self.depth)
    ]
    return scan_blocks.apply(blocks, x, scan=self.scan, train=train)


X = jax.random.normal(jax.random.key(0), (8, 5))


def _variables(model):
  return jax.jit(functools.partial(model.init, train=False))(
    jax.random.key(1), X
  )


def _train(model, variables):
  return model.apply(
    variables,
    X,
    train=True,
    mutable=["batch_stats"],
    rngs={"dropout": jax.random.key(2)},
  )


def _equal(actual, expected):
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
    actual,
    expected,
  )


def test_variables_do_not_depend_on_the_scan():
  written_out, scanned = (_variables(_Model(scan)) for scan in (False, True))
  jax.tree.map(np.testing.assert_array_equal, written_out, scanned)
  assert set(scanned["params"]) == {"block_0", "block_1", "block_2"}


def test_results_and_batch_statistics_are_equal():
  variables = _variables(_Model(False))
  _equal(_train(_Model(True), variables), _train(_Model(False), variables))
  _equal(
    _Model(True).apply(variables, X, train=False),
    _Model(False).apply(variables, X, train=False),
  )


def test_gradients_are_equal():
  variables = _variables(_Model(False))

  def gradient(model):
    return jax.grad(lambda v: _train(model, v)[0].sum())(variables)["params"]

  _equal(gradient(_Model(True)), gradient(_Model(False)))


def test_one_block_is_compiled_for_all():
  def size(scan):
    model = _Model(scan, depth=8)
    jaxpr = jax.make_jaxpr(functools.partial(_train, model))(_variables(model))
    return str(jaxpr).count("dot_general")

  assert (size(False), size(True)) == (8, 1)


@pytest.mark.parametrize("scan", [False, True])
def test_blocks_keep_their_own_rates(scan):
  """Of rates 0, 0.5 and 1 the last block never acts, the first always."""
  model = _Model(scan, rate=0.5)
  variables = _variables(model)
  gradient = jax.grad(
    lambda params: _train(model, {**variables, "params": params})[0].sum()
  )(variables["params"])
  size = {
    name: float(jnp.abs(leaves["Dense_0"]["kernel"]).max())
    for name, leaves in gradient.items()
  }
  assert size["block_0"] > 0
  assert size["block_2"] == 0
