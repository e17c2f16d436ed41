"""Tests of jaxvision.interpret.rollout: worked values, closed forms."""

import jax
import numpy as np
import pytest
import small_classifiers

from jaxvision import interpret
from jaxvision.interpret import attention_flow, attributions, rollout

_FIRST = [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]
_SECOND = [[0.5, 0.25, 0.25], [0.2, 0.5, 0.3], [0, 0.4, 0.6]]
_LAYERS = np.array([_FIRST, _SECOND], np.float32)
_weights = jax.jit(interpret.attention_weights, static_argnums=0)
_TARGETS = np.array([2, 0, 3])


@pytest.mark.parametrize(
  ("residual", "expected"),
  [
    (
      0.5,
      [[0.625, 0.20625, 0.16875], [0.14, 0.7075, 0.1525], [0.13, 0.3, 0.57]],
    ),
    (
      0,
      [[0.4, 0.375, 0.225], [0.26, 0.53, 0.21], [0.22, 0.5, 0.28]],
    ),
  ],
)
def test_worked_matrices(residual, expected):
  found = rollout.attention_rollout(_LAYERS, residual=residual)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("n", "depth"), [(197, 12), (5, 1), (10, 3)])
def test_uniform_attention(n, depth):
  found = rollout.attention_rollout(np.full((depth, n, n), 1 / n, np.float32))
  off = (1 - 2.0**-depth) / n
  expected = np.full((n, n), off) + 2.0**-depth * np.eye(n)
  np.testing.assert_allclose(found, expected, rtol=1e-4)
  if n == 197:
    assert off == pytest.approx(0.0050749, abs=5e-8)
    assert expected[0, 0] == pytest.approx(0.0053190, abs=5e-8)


def test_identity_attention_gives_the_identity():
  identity = np.broadcast_to(np.eye(4, dtype=np.float32), (5, 4, 4))
  np.testing.assert_allclose(rollout.attention_rollout(identity), np.eye(4))


def _random(*shape):
  rng = np.random.default_rng(0)
  weights = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
  return weights.astype(np.float32)


def test_rows_sum_to_one_and_tokens_can_be_permuted():
  weights = _random(4, 2, 6, 6)
  found = np.asarray(rollout.attention_rollout(weights))
  np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
  order = np.random.default_rng(1).permutation(6)
  permuted = rollout.attention_rollout(weights[..., order, :][..., order])
  expected = found[..., order, :][..., order]
  np.testing.assert_allclose(permuted, expected, atol=1e-6)


def test_rows_that_do_not_sum_to_one_are_divided_by_their_own_sum():
  """Not by the sum of their column, as in a known implementation."""
  weights = np.array([[0.2, 0.2], [0, 0]], np.float32)
  expected = [[1.2 / 1.4, 0.2 / 1.4], [0, 1]]
  np.testing.assert_allclose(
    rollout.with_residual(weights), expected, rtol=1e-6
  )


def test_fusion_of_heads():
  weights = _random(2, 3, 4, 4)
  for name, expected in (
    ("mean", weights.mean(1)),
    ("max", weights.max(1)),
    ("min", weights.min(1)),
  ):
    found = rollout.fused(weights, name)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def _slow_rollout(weights):
  """Products of (A + I) / 2 in float64, for one image."""
  total = np.eye(weights[0].shape[-1])
  for each in weights:
    total = (each.mean(axis=0) + np.eye(len(total))) / 2 @ total
  return total


@pytest.mark.parametrize(
  ("name", "rows", "patches"),
  [
    ("vit", slice(1), slice(1, 17)),
    ("vit_mean", slice(16), slice(16)),
    ("vit_distilled", slice(2), slice(2, 18)),
  ],
)
def test_rollout_of_a_model(name, rows, patches):
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  found = _weights(model, variables, images)
  method = attributions.create("rollout(size='layer')")
  maps = method(model, variables, images, _TARGETS)
  for i in range(3):
    total = _slow_rollout([np.asarray(each[i]) for each in found.values()])
    expected = total[rows, patches].mean(axis=0).reshape(4, 4)
    np.testing.assert_allclose(maps[i], expected, atol=1e-6)


def test_attention_pooling_weighs_the_rows():
  model, variables = small_classifiers.classifier("vit_map")
  images = small_classifiers.images()
  # In the order of the keys, `MAPHead_0` is before the blocks.
  pooling, *blocks = _weights(model, variables, images).values()
  assert pooling.shape == (3, 3, 1, 16)
  method = attributions.create("rollout(size='layer')")
  maps = method(model, variables, images, _TARGETS)
  for i in range(3):
    total = _slow_rollout([np.asarray(each[i]) for each in blocks])
    row = np.asarray(pooling)[i, :, 0].mean(axis=0) @ total[:16, :16]
    np.testing.assert_allclose(maps[i], row.reshape(4, 4), atol=1e-6)


def test_gradient_rollout_depends_on_the_target_and_not_on_the_batch():
  model, variables = small_classifiers.classifier("vit")
  images = small_classifiers.images()
  method = attributions.create("gradient_rollout(size='layer')")
  maps = np.asarray(method(model, variables, images, _TARGETS))
  assert maps.min() >= 0 and maps.max() <= 1
  # An image beside others, and the bias of the head, have no effect.
  one = method(model, variables, images[:1].repeat(3, 0), _TARGETS)
  np.testing.assert_allclose(one[0], maps[0], atol=1e-6)
  assert np.abs(one[1] - maps[0]).max() > 1e-5
  frozen = jax.tree.map(np.zeros_like, variables["params"]["head"])
  silent = {"params": {**variables["params"], "head": frozen}}
  np.testing.assert_array_equal(
    method(model, silent, images, _TARGETS), np.zeros_like(maps)
  )


@pytest.mark.parametrize("name", ["vit", "vit_mean"])
def test_flow_of_a_model_is_that_of_its_weights(name):
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images(2)
  found = _weights(model, variables, images)
  method = attributions.create("flow(size='layer')")
  maps = method(model, variables, images, _TARGETS[:2])
  for i in range(2):
    weights = [np.asarray(each[i]).mean(axis=0) for each in found.values()]
    first, second = ((each + np.eye(len(each))) / 2 for each in weights)
    # The paths of two layers share no edge: each carries its smaller edge.
    flows = np.minimum(second[:, :, None], first[None]).sum(axis=1)
    row = flows[0, 1:17] if name == "vit" else flows[:16, :16].mean(axis=0)
    np.testing.assert_allclose(maps[i], row.reshape(4, 4), atol=1e-5)


def test_flow_of_many_tokens_is_an_error():
  limit = attention_flow.MOST_TOKENS
  model, variables = small_classifiers.classifier("vit", side=36)
  images = small_classifiers.images(1, side=36)
  with pytest.raises(ValueError, match=f"of 82 tokens .* at most {limit}"):
    attributions.create("flow")(model, variables, images, _TARGETS[:1])
