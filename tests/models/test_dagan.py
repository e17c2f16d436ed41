"""The pairs: counts of the authors' code, and properties of the networks."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import models, summary, trees
from jaxvision.layers import image_pairs, layer_norm
from jaxvision.variables import draw, variable_shapes

SMALL = {
  "dagan": {
    "sizes": (4, 6),
    "generator_layers": 2,
    "critic_layers": 2,
    "noise": 5,
    "hidden": 8,
  },
  "dagan_small": {
    "generator_sizes": (4, 6),
    "critic_sizes": (4, 6),
    "noise": 5,
  },
}
both = pytest.mark.parametrize("name", SMALL)
# The large pair repeats the proof of the small one.
small_first = pytest.mark.matrix("dagan_small")


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  ("size", "channels", "layers", "generator", "critic"),
  [
    (28, 1, (1, 1), 3_706_965, 1_391_655),
    (28, 1, (3, 5), 10_526_421, 7_072_551),
    (64, 3, (3, 5), 10_604_311, 7_078_987),
    (64, 3, (1, 1), 3_782_551, 1_398_091),
  ],
)
def test_parameters_are_those_of_the_authors_code(
  size, channels, layers, generator, critic
):
  """Without its fourth projection of the noise, which is not used."""
  model = models.create(
    "dagan",
    num_classes=5,
    generator_layers=layers[0],
    critic_layers=layers[1],
  )
  shapes = variable_shapes(model, image_shape=(size, size, channels))
  counts = {k: trees.count(v) for k, v in shapes["params"].items()}
  assert counts == {"generator": generator, "critic": critic}


@small_first
@both
def test_the_facts_are_those_of_the_layers(name):
  model = models.create(name, num_classes=1000)
  table = summary.layer_table(model, image_shape=(28, 28, 3))
  (total,) = summary.at_depth(table, 0)
  spec = models.spec(name)
  assert total.parameters == spec.parameters
  assert total.macs / 1e9 == pytest.approx(spec.gmacs, rel=0.005)


def test_they_are_not_in_the_list_of_classifiers():
  assert set(SMALL) <= set(models.UNLISTED)
  assert not set(models.UNLISTED) & set(models.names())


@functools.cache
def _made(name, size=10, channels=1):
  model = models.create(name, num_classes=3, **SMALL[name])
  return model, draw(model, image_shape=(size, size, channels))


@functools.partial(jax.jit, static_argnums=0)
def _generate(model, variables, images, noise):
  return model.apply(variables, images, noise, train=False, method="generate")


def _images(*shape, seed=0):
  return jnp.tanh(jax.random.normal(jax.random.key(seed), shape))


@pytest.mark.slow
@both
def test_images_of_any_size_and_channels(name):
  """13 pixels are 7 and then 4: sides are rounded up and enlarged again."""
  model, variables = _made(name, size=13, channels=3)
  images, noise = _images(2, 13, 13, 3), _images(2, 5, seed=1)
  made = _generate(model, variables, images, noise)
  assert made.shape == images.shape and np.abs(made).max() <= 1
  score = functools.partial(model.apply, train=False)
  scores = jax.eval_shape(
    functools.partial(score, method="criticize"), variables, images, made
  )
  assert scores.shape == (2,)
  assert jax.eval_shape(score, variables, images).shape == (2, 1)


@small_first
@both
def test_the_noise_and_the_image_change_the_result(name):
  model, variables = _made(name)
  images, noise = _images(4, 10, 10, 1), _images(4, 5, seed=1)
  generate = functools.partial(_generate, model, variables)
  made = generate(images, noise)
  assert np.abs(made - generate(images, noise[::-1])).max() > 1e-3
  assert np.abs(made - generate(images[::-1], noise)).max() > 1e-3


@small_first
@both
def test_the_critic_scores_each_pair_alone_in_training(name):
  """So the gradient of a score is a gradient of its own pair."""
  model, variables = _made(name)
  images, others = _images(3, 10, 10, 1), _images(3, 10, 10, 1, seed=1)

  @jax.jit
  def scores(images, others):
    return model.apply(
      variables,
      images,
      others,
      train=True,
      method="criticize",
      rngs={"dropout": jax.random.key(0)},
    )

  changed = others.at[1:].set(_images(2, 10, 10, 1, seed=2))
  before, after = scores(images, others), scores(images, changed)
  assert before[0] == pytest.approx(float(after[0]), rel=1e-5)
  assert abs(before[1] - after[1]) > 1e-4


def _maps(name):
  """{stage: (its arguments, its result)} of a generator of 13x13 pixels."""
  model, variables = _made(name, size=13)
  maps = {}

  def observe(call, args, kwargs, context):
    found, path = call(*args, **kwargs), context.module.path
    if context.method_name == "__call__" and len(path) == 2:
      maps[path[1]] = args, found
    return found

  def generate(images, noise):
    with nn.intercept_methods(observe):
      model.apply(variables, images, noise, train=False, method="generate")
    return dict(maps)

  found = jax.jit(generate)(_images(2, 13, 13, 1), _images(2, 5, seed=1))
  return jax.tree.map(np.asarray, found)


def _has(given, part):
  """Whether a map has all channels of another one, side by side."""
  count = part.shape[-1]
  return any(
    np.array_equal(given[..., i : i + count], part)
    for i in range(given.shape[-1] - count + 1)
  )


@pytest.mark.slow
def test_the_decoder_is_given_the_maps_of_the_encoder_and_the_noise():
  maps = _maps("dagan")
  (image,), first = maps["encode0"]
  encoded = [maps["encode1"][1][-1], first, image]
  assert [each.shape[1] for each in encoded] == [4, 7, 13]
  for i, across in enumerate(encoded):
    before, given, _ = maps[f"decode{i}"][0]
    assert _has(given, across)
    noise = maps[f"noise{i}"][1]
    assert _has(given, noise.reshape(*given.shape[:3], -1))
    if i == 0:
      assert before is None
    else:
      # The last two maps of the stage before.
      second_last, last = maps[f"decode{i - 1}"][1]
      np.testing.assert_array_equal(before, second_last)
      assert _has(given, last)


def test_the_small_decoder_is_given_the_maps_of_the_encoder():
  maps = _maps("dagan_small")
  (image,), first = maps["encode0"]
  last, noise = maps["encode1"][1], maps["noise"][1]
  assert [each.shape[1] for each in (last, first, image)] == [4, 7, 13]
  made = image_pairs.leaky_relu(noise).reshape(2, 4, 4, -1)
  x = np.concatenate([last, made], axis=-1)
  for i, across in ((1, first), (0, image)):
    ((given,), result) = maps[f"decode{i}"]
    larger = image_pairs.enlarge(x, across.shape[1:3])
    np.testing.assert_array_equal(
      given, np.concatenate([larger, across], axis=-1)
    )
    x = result


def _plain_norm(x, epsilon):
  centred = x - x.mean(-1, keepdims=True)
  return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)


@small_first
@both
def test_the_gradient_of_a_slope_is_that_of_plain_layers(name, monkeypatch):
  """The penalty needs second derivatives, of custom first ones too."""
  model, variables = _made(name)
  images, others = _images(2, 10, 10, 1), _images(2, 10, 10, 1, seed=1)
  critic = variables["params"]["critic"]

  def slope(critic):
    def score(others):
      tree = {**variables, "params": {**variables["params"], "critic": critic}}
      return model.apply(
        tree, images, others, train=False, method="criticize"
      ).sum()

    return jnp.square(jax.grad(score)(others)).sum()

  found = jax.jit(jax.grad(slope))(critic)
  monkeypatch.setattr(layer_norm, "normalize", _plain_norm)
  monkeypatch.setattr(image_pairs, "Conv", nn.Conv)
  expected = jax.jit(jax.grad(lambda critic: slope(critic)))(critic)
  scale = optax.tree.norm(expected)
  assert scale > 0.1
  apart = optax.tree.norm(jax.tree.map(jnp.subtract, found, expected))
  assert apart < 1e-4 * scale


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_enlarging_takes_the_nearest_pixel(size):
  x = np.arange(12.0).reshape(1, 3, 4, 1)
  rows, columns = (
    np.arange(n) * old // n for n, old in zip(size, (3, 4), strict=True)
  )
  found = image_pairs.enlarge(jnp.asarray(x), size)
  np.testing.assert_array_equal(found, x[:, rows][:, :, columns])
