"""Layers of models: their tables, their cost, their outputs, the first one."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import interpret, models, summary
from jaxvision.variables import variable_shapes


def _random(shapes):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(x.dtype), shapes
  )


def _params(model, image_shape):
  shapes = variable_shapes(model, image_shape=image_shape)
  return _random(shapes["params"])


def test_variable_shapes_are_those_of_init():
  model = models.create("resnet18", num_classes=3, blocks=(1,), stem="small")
  images = jnp.zeros((2, 8, 8, 1))
  variables = jax.jit(lambda key: model.init(key, images, train=False))(
    jax.random.key(0)
  )
  expected = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
  shapes = variable_shapes(model, image_shape=(8, 8, 1))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == expected


class _Mixing(nn.Module):
  """Weights tokens by how alike they are: products outside of any layer."""

  @nn.compact
  def __call__(self, x):
    alike = x @ x.swapaxes(1, 2)
    return nn.LayerNorm(name="norm")(nn.Dense(6, name="value")(alike @ x))


class _Encoder(nn.Module):
  @nn.compact
  def __call__(self, x):
    for i in range(2):
      x = _Mixing(name=f"block_{i}")(x)
    return x


class _Nested(nn.Module):
  """Has parameters and products at every depth."""

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(6, (2, 2), strides=2, padding=0, name="patches")(images)
    x = nn.relu(x).reshape(x.shape[0], -1, 6)
    x = x + self.param("positions", nn.initializers.ones, (1, *x.shape[1:]))
    x = nn.Dropout(0.5, deterministic=not train, name="dropout")(x)
    x = _Encoder(name="encoder")(x)
    return nn.Dense(3, name="head")(x.mean(axis=1))


def test_layer_table():
  table = summary.layer_table(_Nested(), image_shape=(4, 2, 3))
  assert [dataclasses.astuple(row) for row in table] == [
    ("", (1, 3), 2 * 6, 0),
    ("patches", (1, 2, 1, 6), 2 * 2 * 3 * 6 + 6, 2 * 2 * 2 * 3 * 6),
    ("dropout", (1, 2, 6), 0, 0),
    ("encoder", (1, 2, 6), 0, 0),
    *_rows_of_block("encoder/block_0"),
    *_rows_of_block("encoder/block_1"),
    ("head", (1, 3), 6 * 3 + 3, 6 * 3),
  ]
  assert interpret.layer_names(_Nested(), image_shape=(4, 2, 3)) == [
    row.path for row in table[1:]
  ]


def _rows_of_block(block):
  """For two tokens: each of them with each, for weights and for means."""
  return [
    (block, (1, 2, 6), 0, 2 * 2 * 2 * 6),
    (f"{block}/value", (1, 2, 6), 6 * 6 + 6, 2 * 6 * 6),
    (f"{block}/norm", (1, 2, 6), 12, 0),
  ]


@pytest.mark.parametrize(
  "depth, paths",
  [
    (0, [""]),
    (1, ["", "patches", "encoder", "head"]),
    (2, ["", "patches", "encoder/block_0", "encoder/block_1", "head"]),
  ],
)
def test_rows_at_some_depth_add_up_what_is_inside(depth, paths):
  deepest = summary.layer_table(_Nested(), image_shape=(8, 8, 3))
  table = summary.at_depth(deepest, depth)
  assert [row.path for row in table] == paths
  for key in ("parameters", "macs"):
    total = sum(getattr(row, key) for row in deepest)
    assert sum(getattr(row, key) for row in table) == total
  assert table[0].output_shape == (1, 3)


def test_layer_table_looks_into_scanned_blocks():
  written_out, scanned = (
    summary.layer_table(
      models.create("bit_r50x1", num_classes=2, units=(3,), scan_layers=scan),
      image_shape=(32, 32, 3),
    )
    for scan in (False, True)
  )
  assert scanned == written_out


class _Twice(nn.Module):
  """Calls a layer twice, the second time on less."""

  @nn.compact
  def __call__(self, images, *, train):
    del train
    shared = nn.Dense(3, name="shared")
    return shared(shared(images)[:, 1:]).mean(axis=(1, 2))


def test_layer_that_is_called_twice_counts_twice_and_gives_its_last_output():
  table = summary.layer_table(_Twice(), image_shape=(4, 2, 3))
  assert table == [
    summary.Layer("", (1, 3), 0, 0),
    summary.Layer("shared", (1, 3, 2, 3), 12, (4 * 2 + 3 * 2) * 9),
  ]
  variables = {"params": _params(_Twice(), (4, 2, 3))}
  images = jnp.ones((1, 4, 2, 3))
  taps = interpret.tap(_Twice(), variables, images, layers=["shared"])
  np.testing.assert_array_equal(
    taps["shared"].mean(axis=(1, 2)),
    _Twice().apply(variables, images, train=False),
  )


def test_tap_gives_what_layers_compute():
  model = models.create("mlp", num_classes=3, hidden=(5, 4))
  params = _params(model, (2, 2, 1))
  images = jax.random.normal(jax.random.key(0), (3, 2, 2, 1))
  first, last = (params[name] for name in ("hidden_0", "head"))
  taps = interpret.tap(
    model, {"params": params}, images, layers=("head", "hidden_0")
  )
  assert list(taps) == ["head", "hidden_0"]
  expected = images.reshape(3, 4) @ first["kernel"] + first["bias"][None]
  np.testing.assert_allclose(taps["hidden_0"], expected, rtol=1e-5)
  logits = model.apply({"params": params}, images, train=False)
  np.testing.assert_array_equal(taps["head"], logits)
  assert logits.shape[-1] == last["bias"].size


def test_tap_reaches_inside_and_can_be_compiled():
  model = models.create("resnet18", num_classes=3, blocks=(1, 1), features=4)
  shapes = variable_shapes(model, image_shape=(32, 32, 3))
  variables = jax.tree.map(np.abs, _random(shapes))
  images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
  layers = ("layer2_0", "layer2_0/bn2", "layer2_0/downsample_bn", "fc")
  tap = functools.partial(interpret.tap, model, layers=layers)
  taps = jax.jit(tap)(variables, images)
  branches = taps["layer2_0/bn2"] + taps["layer2_0/downsample_bn"]
  np.testing.assert_allclose(
    taps["layer2_0"], jnp.maximum(branches, 0), rtol=1e-4, atol=1e-5
  )
  logits = (
    taps["layer2_0"].mean(axis=(1, 2)) @ variables["params"]["fc"]["kernel"]
  )
  np.testing.assert_allclose(
    taps["fc"],
    logits + variables["params"]["fc"]["bias"][None],
    rtol=1e-4,
  )


@pytest.mark.parametrize("scan", [False, True])
def test_tap_looks_into_scanned_blocks(scan):
  model = models.create(
    "bit_r50x1", num_classes=2, units=(3,), scan_layers=scan
  )
  variables = _random(variable_shapes(model, image_shape=(8, 8, 3)))
  taps = jax.eval_shape(
    functools.partial(interpret.tap, model, layers=["block1/unit03/conv2"]),
    variables,
    jnp.zeros((2, 8, 8, 3)),
  )
  assert taps["block1/unit03/conv2"].shape == (2, 2, 2, 64)


def test_tap_of_an_unknown_layer_names_the_nearest():
  variables = variable_shapes(_Nested(), image_shape=(4, 4, 3))
  images = jnp.zeros((1, 4, 4, 3))
  for layer in ("encoder/block_2", "", "norm"):
    with pytest.raises(ValueError, match=rf"unknown layer '{layer}'") as error:
      jax.eval_shape(
        functools.partial(interpret.tap, _Nested(), layers=[layer]),
        variables,
        images,
      )
    if layer == "encoder/block_2":
      assert "did you mean 'encoder/block_" in str(error.value)


def test_first_layer_of_the_linear_model_is_its_templates():
  model = models.create("linear", num_classes=5)
  params = _params(model, (4, 6, 2))
  path, filters = interpret.first_layer(
    model, params=params, image_shape=(4, 6, 2)
  )
  assert path == "head/kernel"
  assert filters.shape == (5, 4, 6, 2)
  image = _random(jax.ShapeDtypeStruct((4, 6, 2), jnp.float32))
  logits = model.apply({"params": params}, image[None], train=False)[0]
  np.testing.assert_allclose(
    (filters * image).sum(axis=(1, 2, 3)) + params["head"]["bias"],
    logits,
    rtol=1e-4,
    atol=1e-4,
  )


def test_first_layer_of_convolutions_and_patches_is_their_kernels():
  for name, options, path in (
    ("resnet50", {"blocks": (1,), "stem": "small"}, "conv1/kernel"),
    ("vit_ti16", {"patch_size": 4, "depth": 1}, "embedding/kernel"),
  ):
    model = models.create(name, num_classes=5, **options)
    params = _params(model, (8, 8, 3))
    found, filters = interpret.first_layer(
      model, params=params, image_shape=(8, 8, 3)
    )
    kernel = params[path.split("/")[0]]["kernel"]
    assert found == path
    assert filters.shape == (64, *kernel.shape[:3])
    for i in (0, 1, 63):
      np.testing.assert_array_equal(filters[i], kernel[..., i])


def test_first_layer_is_found_where_shapes_are_ambiguous():
  """All layers of this perceptron have kernels of the size of the image."""
  model = models.create("mlp", num_classes=16, hidden=(16, 16))
  params = _params(model, (4, 4, 1))
  path, filters = interpret.first_layer(
    model, params=params, image_shape=(4, 4, 1)
  )
  assert path == "hidden_0/kernel"
  np.testing.assert_array_equal(
    filters[3].ravel(), params["hidden_0"]["kernel"][:, 3]
  )


def test_first_layer_of_maxout_has_one_picture_per_piece():
  model = models.create("maxout_mlp", num_classes=3, hidden=(4,), pieces=5)
  params = _params(model, (4, 4, 1))
  _, filters = interpret.first_layer(
    model, params=params, image_shape=(4, 4, 1)
  )
  assert filters.shape == (20, 4, 4, 1)
  np.testing.assert_array_equal(
    filters[7].ravel(), params["hidden_0"]["kernel"][:, 7]
  )


class _Layers(nn.Module):
  """Applies `build`, a function of the images, and flattens its result."""

  build: object

  @nn.compact
  def __call__(self, images, *, train):
    del train
    return self.build(images).reshape(images.shape[0], -1)


def test_first_layer_that_does_not_read_pixels_is_an_error():
  model = _Layers(lambda x: nn.Dense(2, name="late")(x.mean(axis=(1, 2))))
  with pytest.raises(ValueError, match=r"late/kernel has shape \(3, 2\)"):
    interpret.first_layer(
      model, params=_params(model, (4, 4, 3)), image_shape=(4, 4, 3)
    )


def test_model_without_kernels_is_an_error():
  model = _Layers(lambda x: nn.BatchNorm(use_running_average=True)(x))
  with pytest.raises(ValueError, match="no layer with a kernel"):
    interpret.first_layer(model, params={}, image_shape=(4, 4, 3))
