"""EfficientNet: scaling, padding, dropout and initial values."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from jaxvision import layers, models, trees
from jaxvision.models import efficientnet
from jaxvision.variables import variable_shapes

SMALL = {
  "width": 0.5,
  "stages": ((1, 3, 1, 1, 16), (2, 5, 2, 6, 24)),
  "stem": "small",
}
IMAGES = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))


def _create(name="efficientnet_b0", **options):
  return models.create(name, num_classes=5, **{**SMALL, **options})


def _init(model):
  init = jax.jit(functools.partial(model.init, train=False))
  return init(jax.random.key(1), IMAGES)


def _variables(model):
  """Random variables, drawn without compiling `init`."""
  shapes = variable_shapes(model, image_shape=IMAGES.shape[1:])
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    fan_in = max(1, np.prod(leaf.shape[:-1]))
    values = 2 * rng.normal(size=leaf.shape) / np.sqrt(fan_in)
    return values.astype(np.float32)

  return jax.tree.map_with_path(draw, shapes)


@functools.partial(jax.jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images, train=False)


@functools.partial(jax.jit, static_argnums=0)
def _train_logits(model, variables, images, key):
  return model.apply(
    variables,
    images,
    train=True,
    mutable=["batch_stats"],
    rngs={"dropout": key},
  )


# Of the authors' code: widths of stem, stages and head.
@pytest.mark.parametrize(
  "width, expected",
  [
    (1.1, (32, 16, 24, 48, 88, 120, 208, 352, 1408)),
    (1.4, (48, 24, 32, 56, 112, 160, 272, 448, 1792)),
    (1.8, (56, 32, 40, 72, 144, 200, 344, 576, 2304)),
    (2.2, (72, 32, 56, 88, 176, 248, 424, 704, 2816)),
  ],
)
def test_widths_are_multiples_of_eight(width, expected):
  unscaled = (32, 16, 24, 40, 80, 112, 192, 320, 1280)
  assert expected == tuple(
    efficientnet.round_features(each, width=width) for each in unscaled
  )


def test_depths_of_the_stages_are_rounded_up():
  model = models.create("efficientnet_b5", num_classes=5)
  params = variable_shapes(model, image_shape=(32, 32, 3))["params"]
  blocks = [name.split("_")[1] for name in params if name.startswith("blocks")]
  assert [blocks.count(str(i)) for i in range(7)] == [3, 5, 5, 7, 7, 9, 3]


# Of the authors' code: repeats of the stages.
@pytest.mark.parametrize(
  "name, expected",
  [
    ("efficientnet_b0", (1, 2, 2, 3, 3, 4, 1)),
    ("efficientnet_b1", (2, 3, 3, 4, 4, 5, 2)),
    ("efficientnet_lite0", (1, 2, 2, 3, 3, 4, 1)),
    ("efficientnet_lite1", (1, 3, 3, 4, 4, 5, 1)),
    ("efficientnet_lite4", (1, 4, 4, 6, 6, 8, 1)),
  ],
)
def test_repeats_of_the_stages(name, expected):
  assert models.create(name, num_classes=5).repeats == expected


def test_lite_networks_scale_neither_stem_nor_head():
  model = models.create("efficientnet_lite4", num_classes=5)
  params = variable_shapes(model, image_shape=(32, 32, 3))["params"]
  assert params["conv_stem"]["kernel"].shape == (3, 3, 3, 32)
  assert params["blocks_0_0"]["conv_pw"]["kernel"].shape == (1, 1, 32, 24)
  assert params["conv_head"]["kernel"].shape == (1, 1, 448, 1280)


def test_lite_networks_have_no_gates():
  model = models.create("efficientnet_lite0", num_classes=5)
  variables = trees.flatten(variable_shapes(model, image_shape=(32, 32, 3)))
  assert not [path for path in variables if "/se/" in path]
  gated = model.clone(squeeze_excite=8)
  params = variable_shapes(gated, image_shape=(32, 32, 3))["params"]
  reduced = params["blocks_1_0"]["se"]["conv_reduce"]["kernel"]
  assert reduced.shape == (1, 1, 96, 2)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_paddings_agree_where_no_strided_layer_has_an_even_input(stem):
  same = _create(stem=stem)
  symmetric = same.clone(padding="symmetric")
  variables = _variables(same)
  for size, equal in ((17, True), (16, False)):
    images = jax.random.normal(jax.random.key(0), (2, size, size, 3))
    differs = np.abs(
      _logits(same, variables, images) - _logits(symmetric, variables, images)
    ).max()
    assert (differs < 1e-5) == equal


def test_drop_connect_grows_linearly_over_the_blocks():
  rates = {}

  def observe(call, args, kwargs, context):
    if isinstance(context.module, layers.DropPath):
      rates[context.module.path[0]] = context.module.rate
    return call(*args, **kwargs)

  model = models.create("efficientnet_b0", num_classes=5)
  with nn.intercept_methods(observe):
    variable_shapes(model, image_shape=(32, 32, 3))
  # Of B0's 16 blocks these have an input of the shape of their output.
  numbers = {"1_1": 2, "2_1": 4, "3_1": 6, "3_2": 7, "4_1": 9, "4_2": 10}
  numbers |= {"5_1": 12, "5_2": 13, "5_3": 14}
  assert rates == {
    f"blocks_{name}": pytest.approx(0.2 * i / 16) for name, i in numbers.items()
  }


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("random", ["dropout", "drop_connect"])
def test_either_dropout_makes_training_random_and_evaluation_not(random):
  rates = {"dropout": 0.0, "drop_connect": 0.0, random: 0.5}
  model = _create(**rates)
  variables = _variables(model)
  one, two = (
    _train_logits(model, variables, IMAGES, jax.random.key(i))[0]
    for i in range(2)
  )
  assert np.abs(one - two).max() > 1e-3
  calm = _create(dropout=0.0, drop_connect=0.0)
  np.testing.assert_array_equal(
    _logits(model, variables, IMAGES), _logits(calm, variables, IMAGES)
  )


def test_running_averages_keep_99_percent_and_epsilon_is_a_thousandth():
  model = _create(stages=())
  variables = _variables(model)
  seen, updated = jax.jit(_stem_in_training, static_argnums=0)(model, variables)
  x, y = (
    np.asarray(seen[name]["__call__"][0]) for name in ("conv_stem", "bn1")
  )
  mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
  old = variables["batch_stats"]["bn1"]
  for name, batch in (("mean", mean), ("var", var)):
    np.testing.assert_allclose(
      updated["bn1"][name], 0.99 * old[name] + 0.01 * batch, rtol=1e-4
    )
  params = variables["params"]["bn1"]
  expected = (x - mean) / np.sqrt(var + 1e-3)
  expected = expected * params["scale"] + params["bias"]
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def _stem_in_training(model, variables):
  apply = functools.partial(
    model.apply,
    train=True,
    mutable=["batch_stats", "intermediates"],
    capture_intermediates=lambda each, _: each.name in ("conv_stem", "bn1"),
    rngs={"dropout": jax.random.key(0)},
  )
  images = 0.01 * IMAGES  # so that epsilon matters
  _, updated = jax.jit(apply)(variables, images)
  return updated["intermediates"], updated["batch_stats"]


@pytest.mark.slow
def test_initial_kernels_have_the_variance_of_the_authors_code():
  stages = ((1, 3, 1, 1, 16), (1, 5, 1, 6, 256))
  model = _create(width=1.0, stages=stages)
  params = _init(model)["params"]
  block = params["blocks_1_0"]

  def std(kernel):
    return pytest.approx(float(np.std(kernel)), rel=0.1)

  assert np.sqrt(2 / (9 * 32)) == std(params["conv_stem"]["kernel"])
  assert np.sqrt(2 / 256) == std(block["conv_pwl"]["kernel"])
  # Two over the taps of one channel, for any number of channels.
  assert np.sqrt(2 / 25) == std(block["conv_dw"]["kernel"])
  channels = np.asarray(block["conv_dw"]["kernel"]).reshape(25, -1)
  assert np.abs(np.corrcoef(channels.T) - np.eye(96)).max() < 0.9
  # More than the cut of a truncated normal.
  assert np.abs(block["conv_pwl"]["kernel"]).max() > 3 * np.sqrt(2 / 256)
  classifier = np.abs(params["classifier"]["kernel"]).max()
  assert 0.95 / np.sqrt(5) < classifier <= 1 / np.sqrt(5)


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize(
  "stem, expected",
  [("imagenet", [16, 8, 4, 2, 2, 1, 1]), ("small", [32, 16, 8, 4, 4, 2, 2])],
)
def test_resolutions_of_32_pixels(stem, expected):
  model = models.create("efficientnet_b0", num_classes=5, stem=stem)
  sizes = {}

  def observe(call, args, kwargs, context):
    result = call(*args, **kwargs)
    if isinstance(context.module, efficientnet.MBConv):
      sizes[context.module.name.split("_")[1]] = result.shape[1]
    return result

  with nn.intercept_methods(observe):
    variable_shapes(model, image_shape=(32, 32, 3))
  assert list(sizes.values()) == expected


@pytest.mark.slow
def test_activation_norm_and_initializer_by_name():
  plain = _create()
  variables = _variables(plain)
  relu = plain.clone(activation="relu")
  assert (
    np.abs(
      _logits(plain, variables, IMAGES) - _logits(relu, variables, IMAGES)
    ).max()
    > 1e-4
  )
  assert set(_variables(_create(norm="layer_norm"))) == {"params"}
  kernels = trees.flatten(_init(_create(initializer="zeros"))["params"])
  assert {
    path for path, leaf in kernels.items() if "kernel" in path and leaf.any()
  } == {"classifier/kernel"}


@pytest.mark.parametrize(
  "options, message",
  [
    ({"stem": "smal"}, r"unknown stem 'smal'.*'small'"),
    ({"padding": "symetric"}, r"unknown padding 'symetric'.*'symmetric'"),
    ({"scaling": "bdoy"}, r"unknown scaling 'bdoy'.*'body'"),
    ({"activation": "swich"}, r"unknown activation 'swich'.*'swish'"),
  ],
)
def test_unknown_names_are_errors(options, message):
  with pytest.raises(ValueError, match=message):
    variable_shapes(_create(**options), image_shape=(8, 8, 1))
