"""EfficientNet: how it scales, pads, drops and starts."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import features, layers, models, trees
from jaxvision.models import efficientnet

SMALL = {
  "width": 0.5,
  "stages": ((1, 3, 1, 1, 16), (2, 5, 2, 6, 24)),
  "stem": "small",
}
IMAGES = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))


def _create(name="efficientnet_b0", **options):
  return models.create(name, num_classes=5, **{**SMALL, **options})


def _init(model, *, images=IMAGES):
  init = jax.jit(functools.partial(model.init, train=False))
  return init(jax.random.key(1), images)


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
  params = features.variable_shapes(model, image_shape=(32, 32, 3))["params"]
  blocks = [name.split("_")[1] for name in params if name.startswith("blocks")]
  assert [blocks.count(str(i)) for i in range(7)] == [3, 5, 5, 7, 7, 9, 3]


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_paddings_agree_where_no_strided_layer_has_an_even_input(stem):
  same = _create(stem=stem)
  symmetric = same.clone(padding="symmetric")
  for size, equal in ((17, True), (16, False)):
    images = jax.random.normal(jax.random.key(0), (2, size, size, 3))
    variables = _init(same, images=images)
    differs = np.abs(
      _logits(same, variables, images) - _logits(symmetric, variables, images)
    ).max()
    assert (differs < 1e-6) == equal


def test_drop_connect_grows_linearly_over_the_blocks():
  rates = {}

  def observe(call, args, kwargs, context):
    if isinstance(context.module, layers.DropPath):
      rates[context.module.path[0]] = context.module.rate
    return call(*args, **kwargs)

  model = models.create("efficientnet_b0", num_classes=5)
  with nn.intercept_methods(observe):
    features.variable_shapes(model, image_shape=(32, 32, 3))
  # Of B0's 16 blocks these have an input of the shape of their output.
  numbers = {"1_1": 2, "2_1": 4, "3_1": 6, "3_2": 7, "4_1": 9, "4_2": 10}
  numbers |= {"5_1": 12, "5_2": 13, "5_3": 14}
  assert rates == {
    f"blocks_{name}": pytest.approx(0.2 * i / 16) for name, i in numbers.items()
  }


@pytest.mark.parametrize("random", ["dropout", "drop_connect"])
def test_either_dropout_makes_training_random_and_evaluation_not(random):
  rates = {"dropout": 0.0, "drop_connect": 0.0, random: 0.5}
  model = _create(**rates)
  variables = _init(model)
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
  model = _create()
  variables = _init(model)
  _, updated = model.apply(
    variables,
    IMAGES,
    train=True,
    mutable=["batch_stats", "intermediates"],
    capture_intermediates=lambda module, _: module.name in ("conv_stem", "bn1"),
    rngs={"dropout": jax.random.key(0)},
  )
  (x,) = updated["intermediates"]["conv_stem"]["__call__"]
  (y,) = updated["intermediates"]["bn1"]["__call__"]
  mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
  stats = updated["batch_stats"]["bn1"]
  np.testing.assert_allclose(stats["mean"], 0.01 * mean, rtol=1e-3, atol=1e-6)
  np.testing.assert_allclose(stats["var"], 0.99 + 0.01 * var, rtol=1e-5)
  np.testing.assert_allclose(
    y.var(axis=(0, 1, 2)), var / (var + 1e-3), rtol=1e-3
  )


def test_initial_kernels_have_the_variance_of_the_authors_code():
  stages = ((1, 3, 1, 1, 16), (1, 5, 1, 6, 256))
  model = _create(width=1.0, stages=stages)
  params = _init(model)["params"]
  block = params["blocks_1_0"]

  def std(kernel):
    return pytest.approx(np.std(kernel), rel=0.1)

  assert np.sqrt(2 / (9 * 32)) == std(params["conv_stem"]["kernel"])
  assert np.sqrt(2 / 256) == std(block["conv_pwl"]["kernel"])
  # Two over the taps of one channel, whatever the number of channels.
  assert np.sqrt(2 / 25) == std(block["conv_dw"]["kernel"])
  channels = np.asarray(block["conv_dw"]["kernel"]).reshape(25, -1)
  assert np.abs(np.corrcoef(channels.T) - np.eye(96)).max() < 0.9
  # More than the cut of a truncated normal.
  assert np.abs(block["conv_pwl"]["kernel"]).max() > 3 * np.sqrt(2 / 256)
  classifier = np.abs(params["classifier"]["kernel"]).max()
  assert 0.95 / np.sqrt(5) < classifier <= 1 / np.sqrt(5)


def test_loss_falls_on_64_random_images():
  model = _create(dropout=0.0)
  images = jax.random.normal(jax.random.key(0), (64, 32, 32, 3))
  labels = jax.random.randint(jax.random.key(1), (64,), 0, 5)
  variables = _init(model, images=images[:1])
  optimizer = optax.adam(1e-2)

  @jax.jit
  def step(params, state, stats, key):
    def loss(params):
      variables = {"params": params, "batch_stats": stats}
      logits, updated = _train_logits(model, variables, images, key)
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return losses.mean(), updated["batch_stats"]

    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, updates), state, stats, value

  params, stats = variables["params"], variables["batch_stats"]
  state, losses = optimizer.init(params), []
  for key in jax.random.split(jax.random.key(2), 12):
    params, state, stats, value = step(params, state, stats, key)
    losses.append(float(value))
  assert losses[-1] < 0.6 * losses[0]


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
    features.variable_shapes(model, image_shape=(32, 32, 3))
  assert list(sizes.values()) == expected


def test_activation_norm_and_initializer_by_name():
  plain = _create()
  variables = _init(plain)
  relu = plain.clone(activation="relu")
  assert (
    np.abs(
      _logits(plain, variables, IMAGES) - _logits(relu, variables, IMAGES)
    ).max()
    > 1e-4
  )
  assert set(_init(_create(norm="layer_norm"))) == {"params"}
  kernels = trees.flatten(_init(_create(initializer="zeros"))["params"])
  assert {
    path for path, leaf in kernels.items() if "kernel" in path and leaf.any()
  } == {"classifier/kernel"}


@pytest.mark.parametrize(
  "options, message",
  [
    ({"stem": "smal"}, r"unknown stem 'smal'.*'small'"),
    ({"padding": "symetric"}, r"unknown padding 'symetric'.*'symmetric'"),
    ({"activation": "swich"}, r"unknown activation 'swich'.*'swish'"),
  ],
)
def test_unknown_names_are_errors(options, message):
  with pytest.raises(ValueError, match=message):
    features.variable_shapes(_create(**options), image_shape=(8, 8, 1))


def test_spec_is_of_the_paper():
  spec = models.spec("efficientnet_b7")
  assert (spec.image_size, spec.top1) == (600, 84.4)
  assert jnp.allclose(spec.gmacs, 37.746, rtol=1e-3)
