"""Normalisations against their definitions, written as loops in numpy."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import parallel
from jaxvision.layers import norms
from jaxvision.parallel import sharding

EPSILON = 0.01


def _images(*, mean=0.5):
  rng = np.random.default_rng(0)
  scale, shift = rng.uniform(0.5, 3, 6), rng.normal(size=6)
  values = mean + shift + scale * rng.normal(size=(4, 3, 5, 6))
  return values.astype(np.float32)


def _affine():
  """Scale and bias that differ from their initial values."""
  rng = np.random.default_rng(1)
  scale = rng.uniform(0.5, 2, 6).astype(np.float32)
  return {"scale": scale, "bias": rng.normal(size=6).astype(np.float32)}


def _create(norm, *, train=True, dtype="float32", **options):
  create = norms.create(
    norm, train=train, dtype=dtype, epsilon=EPSILON, **options
  )
  return create(name=None)


def _standardised(values):
  values = np.asarray(values, np.float64)
  return (values - values.mean()) / np.sqrt(values.var() + EPSILON)


def _batch_norm(x):
  """Over the batch and space, for each channel."""
  y = np.zeros(x.shape)
  for c in range(x.shape[-1]):
    y[..., c] = _standardised(x[..., c])
  return y


def _group_norm(x, *, groups=2):
  """Over space and neighbouring channels, for each example."""
  y = np.zeros(x.shape)
  width = x.shape[-1] // groups
  for b in range(x.shape[0]):
    for g in range(0, x.shape[-1], width):
      y[b, ..., g : g + width] = _standardised(x[b, ..., g : g + width])
  return y


def _layer_norm(x):
  """Over the channels, for each position."""
  y = np.zeros(x.shape)
  for position in np.ndindex(x.shape[:-1]):
    y[position] = _standardised(x[position])
  return y


def _ghost_batch_norm(x):
  """Over two neighbouring examples and space, for each channel."""
  return np.concatenate([_batch_norm(x[:2]), _batch_norm(x[2:])])


DEFINITIONS = {
  "batch_norm": _batch_norm,
  "ghost_batch_norm(2)": _ghost_batch_norm,
  "group_norm(2)": _group_norm,
  "layer_norm": _layer_norm,
}
# Means are large compared with the deviations; there must be no cancellation.
MEAN = 3e3

every_norm = pytest.mark.parametrize("norm", DEFINITIONS)


def _train_apply(norm, x, **options):
  module = _create(norm, **options)
  variables = dict(module.init(jax.random.key(0), x))
  variables["params"] = _affine()
  return module.apply(variables, x, mutable=["batch_stats"])


@every_norm
def test_training_equals_the_definition(norm):
  x, affine = _images(mean=MEAN), _affine()
  expected = DEFINITIONS[norm](x) * affine["scale"] + affine["bias"]
  actual, _ = _train_apply(norm, x)
  # The mean is rounded to 1e-7 of itself.
  np.testing.assert_allclose(actual, expected, atol=2e-6 * MEAN)


@every_norm
def test_scale_and_bias_start_at_one_and_zero_or_as_given(norm):
  x = _images()
  create = norms.create(norm, train=True, dtype="float32", epsilon=EPSILON)
  for module, scale in (
    (create(name=None), 1),
    (create(name=None, scale_init=jax.nn.initializers.zeros), 0),
  ):
    actual, variables = module.init_with_output(jax.random.key(0), x)
    expected = scale * DEFINITIONS[norm](x)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert set(variables["params"]) == {"scale", "bias"}


def test_batch_norm_keeps_a_share_of_its_running_averages_and_uses_them():
  x, affine = _images(), _affine()
  _, state = _train_apply("batch_norm", x, momentum=0.7)
  mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
  stats = jax.tree.map(np.asarray, state["batch_stats"])
  np.testing.assert_allclose(stats["mean"], 0.3 * mean, rtol=1e-4)
  np.testing.assert_allclose(stats["var"], 0.7 + 0.3 * var, rtol=1e-4)

  module = _create("batch_norm", train=False)
  actual = module.apply({"params": affine, **state}, x[:1])
  y = (x[:1] - stats["mean"]) / np.sqrt(stats["var"] + EPSILON)
  expected = y * affine["scale"] + affine["bias"]
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def _odd_one_out():
  """A batch whose first example is as far from the mean as possible."""
  x = _images(mean=1e4)
  x[0] = 0
  return x


@pytest.mark.matrix(every=5)
@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize(
  "x",
  [_images(), _images(mean=1e3), _images(mean=-1e4), _odd_one_out()],
  ids=["near", "far", "farther", "odd one out"],
)
@pytest.mark.parametrize("norm", ["batch_norm", "ghost_batch_norm(2)"])
def test_the_variance_does_not_cancel(norm, x, devices):
  """Against numpy in float64, from the first step, for any averages."""
  mesh = parallel.make_mesh(jax.devices()[:devices])
  module = _create(norm, momentum=0.0)
  variables = module.init(jax.random.key(0), x)

  @jax.jit
  def train(x):
    with sharding.moments_by_device(mesh):
      return module.apply(variables, x, mutable=["batch_stats"])[1]

  found = train(parallel.put_batch(x, mesh))["batch_stats"]
  parts = x.reshape(1 if norm == "batch_norm" else 2, -1, 6).astype(np.float64)
  expected = parts.var(axis=1).mean(axis=0)
  np.testing.assert_allclose(found["var"], expected, rtol=1e-4)
  np.testing.assert_allclose(found["mean"], parts.mean((0, 1)), rtol=1e-6)


def test_devices_exchange_their_statistics_once():
  x, mesh = _images(), parallel.make_mesh(jax.devices()[:4])
  module = _create("batch_norm")
  variables = module.init(jax.random.key(0), x)

  @functools.partial(jax.jit, out_shardings=parallel.batch_sharding(mesh))
  def train(x):
    with sharding.moments_by_device(mesh):
      return module.apply(variables, x, mutable=["batch_stats"])[0]

  program = train.lower(parallel.put_batch(x, mesh)).compile().as_text()
  kinds = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
  found = re.findall(rf" ({kinds})(?:-start)?\(", program)
  assert found == ["all-gather"]


def test_the_gradient_is_right_where_the_mean_is_large():
  x = _images(mean=1e3).astype(np.float64)
  weights = np.random.default_rng(2).normal(size=x.shape)
  module = _create("batch_norm")
  variables = module.init(jax.random.key(0), x)
  found = jax.grad(
    lambda x: jnp.sum(
      module.apply(variables, x, mutable=["batch_stats"])[0] * weights
    )
  )(jnp.asarray(x, jnp.float32))
  # d y / d x of a mean and a variance over n, in float64.
  axes = (0, 1, 2)
  inverse = 1 / np.sqrt(x.var(axes) + EPSILON)
  y = (x - x.mean(axes)) * inverse
  expected = inverse * (
    weights - weights.mean(axes) - y * (y * weights).mean(axes)
  )
  np.testing.assert_allclose(found, expected, atol=1e-3)


def test_ghosts_update_the_running_averages_by_their_mean():
  x = _images()
  _, state = _train_apply("ghost_batch_norm(2)", x, momentum=0.7)
  _, of_each = zip(
    *(
      _train_apply("batch_norm", part, momentum=0.7) for part in (x[:2], x[2:])
    ),
    strict=True,
  )
  expected = jax.tree.map(lambda a, b: (a + b) / 2, *of_each)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state, expected
  )


@pytest.mark.slow
def test_ghosts_have_the_gradient_of_their_definition():
  x, weights = _images(), np.random.default_rng(2).normal(size=(4, 3, 5, 6))
  affine = jax.tree.map(jnp.asarray, _affine())
  module = _create("ghost_batch_norm(2)")
  stats = module.init(jax.random.key(0), x)["batch_stats"]

  def ours(affine, x):
    variables = {"params": affine, "batch_stats": stats}
    y, _ = module.apply(variables, x, mutable=["batch_stats"])
    return jnp.sum(y * weights)

  def plain(affine, x):
    parts = x.reshape(2, 2, 3, 5, 6)
    mean = parts.mean((1, 2, 3), keepdims=True)
    centred = parts - mean
    variance = jnp.square(centred).mean((1, 2, 3), keepdims=True)
    y = (centred / jnp.sqrt(variance + EPSILON)).reshape(x.shape)
    scale, bias = (
      affine[name].reshape(1, 1, 1, 6) for name in ("scale", "bias")
    )
    return jnp.sum((y * scale + bias) * weights)

  found, expected = (
    jax.grad(function, argnums=(0, 1))(affine, x) for function in (ours, plain)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    found,
    expected,
  )


def test_ghosts_that_do_not_divide_the_batch_are_an_error():
  with pytest.raises(ValueError, match="batch of 4 is not a multiple of the 3"):
    _train_apply("ghost_batch_norm(3)", _images())
  # Evaluation has no batch statistics.
  _train_apply("ghost_batch_norm(3)", _images(), train=False)


@pytest.mark.parametrize("norm", ["group_norm(2)", "layer_norm"])
def test_others_are_the_same_in_training_and_evaluation(norm):
  x = _images()
  trained, _ = _train_apply(norm, x)
  evaluated, state = _train_apply(norm, x, train=False)
  np.testing.assert_array_equal(trained, evaluated)
  assert not state


@every_norm
def test_bfloat16_is_of_the_result_and_not_of_the_statistics(norm):
  x = _images().astype(jnp.bfloat16)
  exact, _ = _train_apply(norm, np.asarray(x, np.float32))
  actual, state = _train_apply(norm, x, dtype="bfloat16")
  assert actual.dtype == jnp.bfloat16
  assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= {
    jnp.dtype("float32")
  }
  # Rounding of the result, of 8 bits, and of a product within.
  error = np.abs(actual.astype(jnp.float32) - exact)
  assert (error <= 2**-6 * (1 + np.abs(exact))).all()


def test_group_norm_has_32_groups():
  x = np.random.default_rng(0).normal(size=(2, 3, 3, 64)).astype(np.float32)
  actual, _ = _create("group_norm").init_with_output(jax.random.key(0), x)
  np.testing.assert_allclose(actual, _group_norm(x, groups=32), atol=1e-5)


def test_groups_that_do_not_divide_the_channels_are_an_error():
  with pytest.raises(
    ValueError, match="48 channels are not a multiple of 32 groups"
  ):
    _create("group_norm").init(jax.random.key(0), jnp.zeros((2, 4, 4, 48)))
  x = jnp.ones((2, 4, 4, 48))
  y, _ = _create("group_norm(16)").init_with_output(jax.random.key(0), x)
  np.testing.assert_allclose(y, jnp.zeros_like(x), atol=1e-5)


@pytest.mark.parametrize(
  ("norm", "message"),
  [
    ("batchnorm", r"unknown norm 'batchnorm'; did you mean 'batch_norm'"),
    (
      "ghost_batch_norm(0)",
      "examples is 0; it must be a whole number at least 1",
    ),
    ("ghost_batch_norm", "missing a required argument: 'examples'"),
    ("group_norm(group=4)", r"no option 'group'; did you mean 'groups'"),
  ],
)
def test_an_unknown_norm_is_an_error(norm, message):
  with pytest.raises(ValueError, match=message):
    _create(norm)
