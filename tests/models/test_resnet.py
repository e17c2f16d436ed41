"""ResNet against a slow plain version, and the properties of v1.5."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.variables import variable_shapes


def _numpy_convolution(x, kernel, *, stride=1):
  """A sum over taps of the image padded by (k - 1) / 2 on every side."""
  size = kernel.shape[0]
  pad = (size - 1) // 2
  x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  rows = (x.shape[1] - size) // stride + 1
  columns = (x.shape[2] - size) // stride + 1
  out = np.zeros((x.shape[0], rows, columns, kernel.shape[-1]))
  for i in range(rows):
    for j in range(columns):
      window = x[:, i * stride :, j * stride :][:, :size, :size]
      out[:, i, j] = np.tensordot(window, kernel, axes=3)
  return out


def _numpy_pooling(x):
  """3x3 windows of stride 2 on an image padded by 1 with minus infinity."""
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
  rows, columns = (x.shape[1] - 1) // 2, (x.shape[2] - 1) // 2
  return np.stack(
    [
      np.stack(
        [
          x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2))
          for j in range(columns)
        ],
        axis=1,
      )
      for i in range(rows)
    ],
    axis=1,
  )


def _numpy_norm(x, params, stats):
  x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
  return x * params["scale"] + params["bias"]


def _numpy_block(x, params, stats, *, stride):
  """Either block: all but the last convolution are followed by a ReLU."""
  depth = 3 if "conv3" in params else 2
  strided = "conv2" if depth == 3 else "conv1"
  y = x
  for i in range(1, depth + 1):
    y = _numpy_convolution(
      y,
      params[f"conv{i}"]["kernel"],
      stride=stride if f"conv{i}" == strided else 1,
    )
    y = _numpy_norm(y, params[f"bn{i}"], stats[f"bn{i}"])
    if i < depth:
      y = np.maximum(y, 0)
  if "downsample_conv" in params:
    kernel = params["downsample_conv"]["kernel"]
    x = _numpy_convolution(x, kernel, stride=stride)
    x = _numpy_norm(x, params["downsample_bn"], stats["downsample_bn"])
  return np.maximum(x + y, 0)


def _numpy_resnet(x, params, stats, *, stem, blocks):
  stride = 2 if stem == "imagenet" else 1
  x = _numpy_convolution(x, params["conv1"]["kernel"], stride=stride)
  x = np.maximum(_numpy_norm(x, params["bn1"], stats["bn1"]), 0)
  if stem == "imagenet":
    x = _numpy_pooling(x)
  for i, count in enumerate(blocks):
    for j in range(count):
      name = f"layer{i + 1}_{j}"
      stride = 2 if i > 0 and j == 0 else 1
      x = _numpy_block(x, params[name], stats[name], stride=stride)
  return x.mean(axis=(1, 2)) @ params["fc"]["kernel"] + params["fc"]["bias"]


def _create(name="resnet18", **options):
  options = {"blocks": (1, 1), "features": 4, "stem": "small", **options}
  return models.create(name, num_classes=3, **options)


def _init(model, *, size=8):
  images = jax.random.normal(jax.random.key(0), (2, size, size, 3))
  init = jax.jit(functools.partial(model.init, train=False))
  return images, init(jax.random.key(1), images)


def _moved(tree):
  """Returns the tree with noise, so that no scale is 1 and no mean 0."""
  leaves, structure = jax.tree.flatten(tree)
  rng = np.random.default_rng(0)
  moved = [x + rng.uniform(0, 0.5, x.shape).astype(x.dtype) for x in leaves]
  return jax.tree.unflatten(structure, moved)


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("stem", ["small", "imagenet"])
def test_equals_the_slow_version(name, stem):
  blocks = (1, 2)
  model = _create(name, blocks=blocks, stem=stem)
  images, variables = _init(model, size=12)
  variables = _moved(variables)
  actual = jax.jit(functools.partial(model.apply, train=False))(
    variables, images
  )
  expected = _numpy_resnet(
    np.asarray(images, np.float64),
    jax.tree.map(np.float64, variables["params"]),
    jax.tree.map(np.float64, variables["batch_stats"]),
    stem=stem,
    blocks=blocks,
  )
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_training_normalises_by_the_batch_and_updates_the_statistics():
  model = _create()
  images, variables = _init(model)
  run = jax.jit(
    functools.partial(model.apply, train=True, mutable=["batch_stats"])
  )
  logits, updated = run(variables, images)
  conv1 = _numpy_convolution(
    np.asarray(images), np.asarray(variables["params"]["conv1"]["kernel"])
  )
  stats = updated["batch_stats"]["bn1"]
  mean, var = conv1.mean(axis=(0, 1, 2)), conv1.var(axis=(0, 1, 2))
  np.testing.assert_allclose(stats["mean"], 0.1 * mean, atol=1e-5)
  np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var, rtol=1e-4)
  # Normalising by the batch makes the output blind to the images' contrast.
  np.testing.assert_allclose(
    run(variables, 3 * images)[0], logits, rtol=1e-3, atol=1e-4
  )


def test_zero_gamma_makes_the_blocks_identities_at_the_start():
  model = _create(blocks=(2,), zero_gamma=True)
  images, variables = _init(model)
  apply = jax.jit(functools.partial(model.apply, train=False))
  without_blocks = _create(blocks=())
  np.testing.assert_allclose(
    apply(variables, images),
    without_blocks.apply(variables, images, train=False),
    rtol=1e-5,
    atol=1e-6,
  )


@pytest.mark.parametrize(
  "name, stem, size, expected",
  [
    ("resnet50", "imagenet", 224, [112, 56, 28, 14, 7]),
    ("resnet18", "imagenet", 224, [112, 56, 28, 14, 7]),
    ("resnet18", "small", 32, [32, 32, 16, 8, 4]),
  ],
)
def test_resolutions(name, stem, size, expected):
  model = models.create(name, num_classes=3, stem=stem)
  outputs = _output_shapes(model, size=size)
  last = [f"layer{i + 1}_{n - 1}" for i, n in enumerate(model.blocks)]
  assert [outputs[f"{layer}/"][1] for layer in ("conv1", *last)] == expected


def test_bottleneck_strides_on_its_3x3_convolution():
  outputs = _output_shapes(models.create("resnet50", num_classes=3), size=224)
  assert outputs["layer2_0/conv1/"] == (1, 56, 56, 128)
  assert outputs["layer2_0/conv2/"] == (1, 28, 28, 128)
  assert outputs["layer2_0/conv3/"] == (1, 28, 28, 512)


def _output_shapes(model, *, size):
  """Returns {path of a module with a slash: shape of its output}."""
  image_shape = (size, size, 3)
  variables = variable_shapes(model, image_shape=image_shape)
  run = functools.partial(
    model.apply, train=False, capture_intermediates=True, mutable=True
  )
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  _, state = jax.eval_shape(run, variables, images)
  return {
    path.removesuffix("__call__/0"): leaf.shape
    for path, leaf in trees.flatten(state["intermediates"]).items()
  }


def test_initial_kernels_have_variance_two_over_fan_out():
  model = models.create("resnet18", num_classes=1000, blocks=(1,))
  _, variables = _init(model, size=32)
  kernel = variables["params"]["conv1"]["kernel"]  # 7x7 to 64 channels
  assert np.std(kernel) == pytest.approx(np.sqrt(2 / (49 * 64)), rel=0.03)
  assert np.abs(variables["params"]["fc"]["kernel"]).max() <= 1 / 8


@pytest.mark.parametrize(
  "options, message",
  [
    ({"stem": "smal"}, r"unknown stem 'smal'.*'small'"),
    ({"block": "botleneck"}, r"unknown block 'botleneck'.*'bottleneck'"),
  ],
)
def test_unknown_names_are_errors(options, message):
  with pytest.raises(ValueError, match=message):
    variable_shapes(_create(**options), image_shape=(8, 8, 1))


def _tiny(**options):
  return models.create(
    "resnet50", num_classes=3, **{"blocks": (3, 2), "features": 8, **options}
  )


@functools.partial(jax.jit, static_argnums=0)
def _train(model, variables, images, key):
  return model.apply(
    variables,
    images,
    train=True,
    mutable=["batch_stats"],
    rngs={"dropout": key},
  )


def _drawn(model, size=16):
  rng = np.random.default_rng(0)
  shapes = variable_shapes(model, image_shape=(size, size, 3))
  return jax.tree.map(
    lambda x: jnp.asarray(rng.uniform(0.2, 0.6, x.shape), x.dtype), shapes
  )


IMAGES = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))


def test_scanned_blocks_give_the_same_logits_and_batch_statistics():
  variables, key = _drawn(_tiny()), jax.random.key(1)
  written_out, scanned = (
    _train(_tiny(scan_layers=scan), variables, IMAGES, key)
    for scan in (False, True)
  )
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-5),
    scanned,
    written_out,
  )


@pytest.mark.slow
def test_stochastic_depth_grows_from_nothing_and_acts_in_training_only():
  """With rate 1 the last block is its shortcut: its branch has no gradient."""
  model = _tiny(drop_path=1.0)
  variables, key = _drawn(model), jax.random.key(1)

  @jax.jit
  @jax.grad
  def gradient(params):
    logits, _ = _train(model, {**variables, "params": params}, IMAGES, key)
    return jnp.square(logits).sum()

  of = gradient(variables["params"])
  assert np.abs(of["layer1_0"]["conv1"]["kernel"]).max() > 0
  assert not np.abs(of["layer2_1"]["conv3"]["kernel"]).any()
  both = [
    jax.jit(functools.partial(each.apply, train=False))(variables, IMAGES)
    for each in (model, _tiny())
  ]
  np.testing.assert_array_equal(*both)


@pytest.mark.parametrize(
  "option", ["block", "stem", "stride", "shortcut", "norm", "activation"]
)
def test_every_option_checks_its_name(option):
  with pytest.raises(ValueError, match=rf"unknown {option} 'zebra'.*known: "):
    variable_shapes(_tiny(**{option: "zebra"}), image_shape=(16, 16, 3))


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize(
  "options",
  [
    {"stem": "deep", "shortcut": "pool"},
    {"stem": "small", "stride": "blur"},
    {"stride": "blur", "squeeze_excite": 4},
    {"stem": "small", "stride": "1x1", "norm": "layer_norm"},
  ],
  ids=str,
)
def test_all_styles_take_small_images_of_even_and_odd_size(options, size):
  model = _tiny(**options)
  assert jax.eval_shape(
    functools.partial(model.apply, train=False),
    variable_shapes(model, image_shape=(size, size, 3)),
    jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32),
  ).shape == (2, 3)
