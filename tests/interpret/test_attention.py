"""Tests of jaxvision.interpret.attention: weights, gradients, distances."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import small_classifiers

from jaxvision import interpret, trees
from jaxvision.interpret import attention, attention_distance
from jaxvision.interpret.feature_maps import Grid

_weights = jax.jit(interpret.attention_weights, static_argnums=0)
_TARGETS = np.array([2, 0, 3])
_LAYER = "Transformer/encoderblock_1/MultiHeadDotProductAttention_0"


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("vit", {}),
    ("vit_map", {"positions": "rotary", "num_heads": 1}),
    ("vit", {"scan_layers": True, "depth": 3}),
  ],
)
def test_logits_do_not_change_while_weights_are_read(name, options):
  model, variables = small_classifiers.classifier(name, **options)
  images = small_classifiers.images()
  logits, found = jax.jit(attention._apply, static_argnums=0)(
    model, variables, images, {}
  )
  expected = small_classifiers.logits(model, variables, images)
  np.testing.assert_allclose(logits, expected, atol=1e-5)
  assert len(found) == model.depth + (name == "vit_map")
  for each in found.values():
    assert each.dtype == jnp.float32
    np.testing.assert_allclose(each.sum(axis=-1), 1, rtol=1e-5)


def test_weights_are_the_softmax_of_queries_and_keys():
  model, variables = small_classifiers.classifier("vit")
  images = small_classifiers.images()
  found = _weights(model, variables, images)[_LAYER]
  names = [f"{_LAYER}/query", f"{_LAYER}/key"]
  tap = functools.partial(interpret.tap, model, layers=names)
  taps = jax.jit(tap)(variables, images)
  query, key = (np.asarray(taps[name], np.float64) for name in names)
  for head in range(3):
    products = query[:, :, head] @ key[:, :, head].swapaxes(1, 2)
    expected = scipy.special.softmax(products / np.sqrt(4), axis=-1)
    np.testing.assert_allclose(found[:, head], expected, atol=1e-5)


def test_gradients_are_the_slope_of_the_logits():
  model, variables = small_classifiers.classifier("vit")
  images = small_classifiers.images()
  found, gradients = jax.jit(
    functools.partial(attention.weights_and_gradients, model)
  )(variables, images, _TARGETS)
  assert list(found) == list(gradients) and len(found) == 2
  direction = np.asarray(
    jax.random.normal(jax.random.key(0), found[_LAYER].shape)
  )

  @jax.jit
  def logits(size):
    def attend(call, args, kwargs, context):
      if "/".join(context.module.path) != _LAYER:
        return call(*args, **kwargs)
      if context.method_name != "attend":
        return call(*args, **kwargs)
      moved = found[_LAYER] + size * direction
      return jnp.einsum("bhmn,bnhd->bmhd", moved, args[2])

    with nn.intercept_methods(attend):
      return model.apply(variables, images, train=False)

  slope = (logits(1e-2) - logits(-1e-2))[np.arange(3), _TARGETS] / 2e-2
  expected = (gradients[_LAYER] * direction).sum(axis=(1, 2, 3))
  assert np.abs(expected).max() > 0.01
  np.testing.assert_allclose(slope, expected, atol=1e-3)


def test_layers_are_in_the_order_of_calls():
  """jax sorts the keys of a dict, where encoderblock_10 is before _2."""
  model, variables = small_classifiers.classifier("vit", depth=12)
  seen = []

  def trace(images):
    found = attention.weights_and_gradients(model, variables, images, _TARGETS)
    seen.extend(list(each) for each in found)
    return ()

  jax.eval_shape(trace, small_classifiers.images())
  blocks = [int(path.split("_")[1].split("/")[0]) for path in seen[0]]
  assert blocks == list(range(12))
  assert seen[0] == seen[1]


@pytest.mark.parametrize(
  ("name", "queries", "keys"),
  [
    ("vit", slice(1), slice(1, 17)),
    ("vit_distilled", slice(2), slice(2, 18)),
    ("vit_mean", slice(16), slice(16)),
  ],
)
def test_maps_are_the_rows_of_the_class_token(name, queries, keys):
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  weights = _weights(model, variables, images)[_LAYER]
  expected = np.asarray(weights)[:, :, queries, keys].mean(axis=2)
  maps = jax.jit(interpret.attention_maps, static_argnums=0)
  found = maps(model, variables, images)[_LAYER]
  np.testing.assert_allclose(found, expected.reshape(3, 3, 4, 4), rtol=1e-6)
  for head in (None, 2):
    method = attention.attention(head=head, size="layer")
    maps = method(model, variables, images, _TARGETS)
    expected = found.mean(axis=1) if head is None else found[:, head]
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_errors_of_the_method():
  model, variables = small_classifiers.classifier("vit")
  args = (model, variables, small_classifiers.images(), _TARGETS)
  with pytest.raises(ValueError, match=r"head is 3, but .* has 3 heads; use 0"):
    attention.attention(head=3)(*args)
  with pytest.raises(ValueError, match="unknown attention 'block_1'"):
    attention.attention(layer="block_1")(*args)


@pytest.mark.parametrize("name", ["resnet", "mixer", "mlp"])
def test_a_model_without_attention_is_an_error(name):
  model, variables = small_classifiers.classifier(name)
  with pytest.raises(ValueError, match=r"\w+ has no attention; expected"):
    attention.check(model, variables, small_classifiers.images())


def _uniform(n):
  return np.full((n, n), 1 / n, np.float32)


def _distance(weights, side, patch_size, **options):
  grid = Grid(side, side, True)
  found = attention_distance.mean_attention_distance(
    jnp.asarray(weights), grid=grid, patch_size=patch_size, **options
  )
  return float(found)


@pytest.mark.parametrize(
  ("side", "patch_size", "expected"),
  [
    (14, 16, 116.4922),
    (7, 32, 115.5029),
    (16, 14, 116.5651),
    (24, 16, 200.0480),
    (2, 16, 13.65685),
    (3, 1, 1.453311),
  ],
)
def test_mean_distance_of_uniform_attention(side, patch_size, expected):
  found = _distance(_uniform(side**2), side, patch_size)
  assert found == pytest.approx(expected, rel=1e-6)


def test_distances_of_single_patches():
  apart = attention_distance.distances((14, 14), patch_size=16)
  assert apart[0].mean() == pytest.approx(161.0302, rel=1e-6)
  assert apart[7 * 14 + 7].mean() == pytest.approx(86.0189, rel=1e-6)
  assert apart.max() == pytest.approx(294.1564, rel=1e-6)
  assert _distance(np.eye(196, dtype=np.float32), 14, 16) == 0


def test_mean_distance_of_one_patch_to_the_right():
  """The last column attends to itself."""
  right = np.arange(196).reshape(14, 14)
  right[:, :-1] += 1
  weights = np.eye(196, dtype=np.float32)[right.ravel()]
  assert _distance(weights, 14, 16) == pytest.approx(13 / 14 * 16, rel=1e-6)


def test_class_tokens_and_registers_have_no_distance():
  """Two class tokens and a register take 3 / 7 of uniform attention."""
  measure = functools.partial(
    attention_distance.mean_attention_distance,
    jnp.asarray(np.stack([_uniform(7)] * 2)),
    grid=Grid(2, 2, True, before=2, after=1),
    patch_size=16,
  )
  kept = 13.65685 * 4 / 7
  np.testing.assert_allclose(measure(), [kept] * 2, rtol=1e-6)
  np.testing.assert_allclose(
    measure(rows="renormalised"), [13.65685] * 2, rtol=1e-6
  )


def test_distances_of_a_model_are_per_image_layer_and_head():
  """Without kernels of queries all keys match alike: attention is uniform."""
  model, variables = small_classifiers.classifier("vit")
  flat = trees.flatten(variables)
  queries = [path for path in flat if f"params/{_LAYER}/query" in path]
  assert len(queries) == 2
  for path in queries:
    flat[path] = np.zeros_like(flat[path])
  changed = trees.unflatten(flat)
  found = interpret.attention_distances(
    model, changed, small_classifiers.images(), rows="renormalised"
  )
  assert found.shape == (3, 2, 3)
  uniform = attention_distance.distances((4, 4), patch_size=4).mean()
  np.testing.assert_allclose(found[:, 1], np.full((3, 3), uniform), rtol=1e-5)
  assert np.abs(found[:, 0] - uniform).min() > 1e-4
