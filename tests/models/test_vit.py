"""ViT against a slow plain version, its symmetries, and its errors."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models
from jaxvision.variables import variable_shapes

SMALL = {
  "patch_size": 4,
  "width": 12,
  "depth": 1,
  "mlp_dim": 20,
  "num_heads": 3,
}


def _create(**options):
  return models.create("vit_ti16", num_classes=5, **{**SMALL, **options})


def _variables(model, *, image_shape=(8, 12, 2)):
  """Returns random variables; the zeros of `init` would hide mistakes."""
  rng = np.random.default_rng(0)
  shapes = variable_shapes(model, image_shape=image_shape)
  return jax.tree.map(
    lambda x: rng.normal(size=x.shape, scale=0.5).astype(x.dtype), shapes
  )


def _images(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _logits(model, variables, images):
  return jax.jit(functools.partial(model.apply, train=False))(variables, images)


def _numpy_norm(x, p):
  mean = x.mean(axis=-1, keepdims=True)
  var = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
  return (x - mean) / np.sqrt(var + 1e-6) * p["scale"] + p["bias"]


def _numpy_attention(x, p):
  """One head after another, one query after another; x is (n, width)."""
  out = np.zeros_like(x) + p["out"]["bias"]
  _, heads, size = p["query"]["kernel"].shape
  for head in range(heads):
    query, key, value = (
      x @ p[each]["kernel"][:, head] + p[each]["bias"][head]
      for each in ("query", "key", "value")
    )
    for i in range(len(x)):
      weights = np.exp(key @ query[i] / math.sqrt(size))
      attended = (weights / weights.sum()) @ value
      out[i] += attended @ p["out"]["kernel"][head]
  return out


def _numpy_gelu(x):
  inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
  return 0.5 * x * (1 + np.tanh(inner))


def _numpy_vit(image, p, *, patch_size):
  """The logits of one image (h, w, c)."""
  token = _numpy_tokens(image, p, patch_size=patch_size)[0]
  return token @ p["head"]["kernel"] + p["head"]["bias"]


def _numpy_tokens(image, p, *, patch_size, before=("cls",)):
  """The tokens after the encoder, (n, width)."""
  h, w, _ = image.shape
  tokens = [p[name][0, 0] for name in before]
  for i in range(0, h, patch_size):
    for j in range(0, w, patch_size):
      patch = image[i : i + patch_size, j : j + patch_size]
      product = np.tensordot(patch, p["embedding"]["kernel"], axes=3)
      tokens.append(product + p["embedding"]["bias"])
  encoder = p["Transformer"]
  x = np.stack(tokens) + encoder["posembed_input"]["pos_embedding"][0]
  block = encoder["encoderblock_0"]
  y = _numpy_norm(x, block["LayerNorm_0"])
  x = x + _numpy_attention(y, block["MultiHeadDotProductAttention_0"])
  y = _numpy_norm(x, block["LayerNorm_1"])
  first, second = block["MlpBlock_0"]["Dense_0"], block["MlpBlock_0"]["Dense_1"]
  y = _numpy_gelu(y @ first["kernel"] + first["bias"])
  x = x + y @ second["kernel"] + second["bias"]
  return _numpy_norm(x, encoder["encoder_norm"])


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_equals_the_slow_version(scale):
  """With tokens of scale 1e-3 the epsilon of the first norm matters, too."""
  model = _create()
  params = _variables(model)["params"]
  tokens = {"cls": params["cls"], "embedding": params["embedding"]}
  params |= jax.tree.map(lambda x: scale * x, tokens)
  params["Transformer"]["posembed_input"]["pos_embedding"] *= scale
  images = _images(2, 8, 12, 2)
  precise = jax.tree.map(np.float64, params)
  expected = [_numpy_vit(x, precise, patch_size=4) for x in np.float64(images)]
  np.testing.assert_allclose(
    _logits(model, {"params": params}, images), expected, rtol=1e-4, atol=1e-4
  )


def test_a_distillation_token_has_its_own_classifier():
  """In training they are apart; in evaluation the softmaxes are averaged."""
  model = _create(distillation_token=True)
  params = _variables(model)["params"]
  images = _images(2, 8, 12, 2)
  logits, sown = jax.jit(
    functools.partial(model.apply, train=True, mutable=["distillation"])
  )({"params": params}, images)
  (taught,) = sown["distillation"]["logits"]
  precise = jax.tree.map(np.float64, params)
  for i, image in enumerate(np.float64(images)):
    tokens = _numpy_tokens(image, precise, patch_size=4, before=("cls", "dist"))
    for token, head, found in (
      (tokens[0], "head", logits[i]),
      (tokens[1], "head_dist", taught[i]),
    ):
      expected = token @ precise[head]["kernel"] + precise[head]["bias"]
      np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  both = _logits(model, {"params": params}, images)
  mean = (jax.nn.softmax(logits) + jax.nn.softmax(taught)) / 2
  np.testing.assert_allclose(jax.nn.softmax(both), mean, rtol=1e-5, atol=1e-7)


def test_a_distillation_token_needs_a_class_token():
  for options in ({"pool": "mean"}, {"representation_size": 8}):
    model = _create(distillation_token=True, **options)
    with pytest.raises(ValueError, match="needs a class token"):
      variable_shapes(model, image_shape=(8, 8, 2))


def test_patch_embedding_is_a_strided_convolution():
  model = _create(depth=0)
  params = _variables(model)["params"]["embedding"]
  images = _images(2, 8, 12, 2)
  expected = jax.lax.conv_general_dilated(
    images,
    params["kernel"],
    window_strides=(4, 4),
    padding="VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  ).reshape(2, 6, 12)
  capture = functools.partial(
    model.apply,
    train=False,
    capture_intermediates=lambda module, _: module.name == "embedding",
    mutable=["intermediates"],
  )
  state = jax.jit(capture)(_variables(model), images)[1]
  (actual,) = state["intermediates"]["embedding"]["__call__"]
  np.testing.assert_allclose(
    actual, expected + params["bias"][None, None], rtol=1e-4, atol=1e-4
  )


def test_registers_act_through_attention_only():
  """They are removed before the mean: without blocks they change nothing."""
  images = _images(2, 8, 12, 2)
  for depth, most in ((0, 0.0), (1, np.inf)):
    model = _create(pool="mean", registers=2, depth=depth)
    variables = _variables(model)
    assert variables["params"]["registers"].shape == (1, 2, 12)
    params = dict(variables["params"])
    del params["registers"]
    plain = _create(pool="mean", depth=depth)
    change = np.abs(
      _logits(model, variables, images)
      - _logits(plain, {"params": params}, images)
    ).max()
    assert change <= most
    assert (change > 1e-2) == (depth > 0)


def test_representation_is_a_tanh_before_the_classifier():
  model = _create(representation_size=7)
  variables = _variables(model)
  params = variables["params"]
  images = _images(2, 8, 12, 2)
  # The classifier of the plain model can be an identity.
  identity = {"kernel": np.eye(12), "bias": np.zeros(12)}
  token = _logits(
    models.create("vit_ti16", num_classes=12, **SMALL),
    {"params": {**params, "head": identity}},
    images,
  )
  dense, head = params["pre_logits"], params["head"]
  hidden = np.tanh(np.asarray(token) @ dense["kernel"] + dense["bias"])
  np.testing.assert_allclose(
    _logits(model, variables, images),
    hidden @ head["kernel"] + head["bias"],
    rtol=1e-4,
    atol=1e-4,
  )


def test_attention_pooling_has_the_names_of_the_published_files():
  shapes = variable_shapes(_create(pool="map"), image_shape=(8, 8, 1))
  head = shapes["params"]["MAPHead_0"]
  assert head["probe"].shape == (1, 1, 12)
  assert set(head) == {
    "LayerNorm_0",
    "MlpBlock_0",
    "MultiHeadDotProductAttention_0",
    "probe",
  }
  assert head["MlpBlock_0"]["Dense_0"]["kernel"].shape == (12, 20)


def test_classifier_starts_at_its_bias():
  model = _create(head_bias=-6.9)
  images = _images(2, 8, 12, 2)
  init = jax.jit(functools.partial(model.init_with_output, train=False))
  logits, _ = init(jax.random.key(0), images)
  np.testing.assert_allclose(logits, -6.9)


def test_hybrid_takes_sizes_that_its_patches_tile():
  model = _create(stem_units=(), patch_size=2)  # patches of 8 pixels
  for size in (16, 23):  # 23 pixels make a map of 6 positions
    shapes = variable_shapes(model, image_shape=(size, size, 3))
    tokens = 1 + (-(-size // 8)) ** 2
    positions = shapes["params"]["Transformer"]["posembed_input"]
    assert positions["pos_embedding"].shape == (1, tokens, 12)
  with pytest.raises(ValueError, match=r"image of 20x16 .* multiples of 8"):
    variable_shapes(model, image_shape=(20, 16, 3))


def test_mean_pooling_has_no_class_token():
  token = variable_shapes(_create(), image_shape=(8, 8, 1))["params"]
  mean = variable_shapes(_create(pool="mean"), image_shape=(8, 8, 1))["params"]
  assert "cls" in token and "cls" not in mean
  for params, positions in ((token, 5), (mean, 4)):
    table = params["Transformer"]["posembed_input"]["pos_embedding"]
    assert table.shape == (1, positions, 12)


def test_initialisation():
  model = models.create("vit_ti16", num_classes=5, depth=1, patch_size=4)
  images = _images(2, 32, 32, 3)
  init = jax.jit(functools.partial(model.init, train=False))
  variables = init(jax.random.key(0), images)
  np.testing.assert_array_equal(_logits(model, variables, images), 0)
  encoder = variables["params"]["Transformer"]
  positions = encoder["posembed_input"]["pos_embedding"]
  assert np.std(positions) == pytest.approx(192**-0.5, rel=0.03)
  block = encoder["encoderblock_0"]
  query = block["MultiHeadDotProductAttention_0"]["query"]["kernel"]
  bound = math.sqrt(6 / (192 + 192))  # Xavier, all heads as one matrix
  assert np.abs(query).max() == pytest.approx(bound, rel=1e-3)
  bias = block["MlpBlock_0"]["Dense_0"]["bias"]
  assert np.std(bias) == pytest.approx(1e-6, rel=0.1)


def test_the_two_forms_of_gelu_differ():
  images = _images(2, 8, 12, 2)
  tanh, erf = (
    _logits(model, _variables(model), images)
    for model in (_create(), _create(activation="gelu_erf"))
  )
  assert 1e-5 < np.abs(tanh - erf).max() < 1e-2


def test_softmax_of_attention_is_float32_in_bfloat16():
  model = _create(dtype="bfloat16")
  jaxpr = jax.make_jaxpr(functools.partial(model.apply, train=False))(
    _variables(model), jnp.asarray(_images(1, 8, 12, 2))
  )
  exponentials = [
    equation.outvars[0].aval.dtype
    for equation in _equations(jaxpr)
    if equation.primitive.name == "exp"
  ]
  assert exponentials == [jnp.float32]


def _equations(jaxpr):
  for equation in jaxpr.eqns:
    yield equation
    for each in jax.tree.leaves(list(equation.params.values())):
      if hasattr(each, "eqns"):
        yield from _equations(each)


def test_dropout_acts_in_training_only():
  model = _create(dropout=0.5)
  variables = _variables(model)
  images = _images(2, 8, 12, 2)
  run = jax.jit(functools.partial(model.apply, train=True))
  first, second, again = (
    run(variables, images, rngs={"dropout": jax.random.key(seed)})
    for seed in (0, 1, 0)
  )
  assert np.abs(first - second).max() > 0.1
  np.testing.assert_array_equal(first, again)
  np.testing.assert_array_equal(
    _logits(model, variables, images), _logits(_create(), variables, images)
  )


@pytest.mark.parametrize(
  "size, patch_size, message",
  [
    (225, 16, "image size 225 is not a multiple of patch 16; use 224 or 240"),
    (8, 16, "image size 8 is not a multiple of patch 16; use 16(?! or)"),
  ],
)
def test_image_that_patches_do_not_tile(size, patch_size, message):
  model = _create(patch_size=patch_size)
  for image_shape in ((size, 32, 1), (32, size, 1)):
    with pytest.raises(ValueError, match=message):
      variable_shapes(model, image_shape=image_shape)


def test_unknown_positions_are_an_error():
  with pytest.raises(ValueError, match=r"unknown positions 'rotry'.*'rotary'"):
    variable_shapes(_create(positions="rotry"), image_shape=(8, 8, 1))


def test_unknown_pool_is_an_error():
  with pytest.raises(ValueError, match=r"unknown pool 'tokn'.*'token'"):
    variable_shapes(_create(pool="tokn"), image_shape=(8, 8, 1))
