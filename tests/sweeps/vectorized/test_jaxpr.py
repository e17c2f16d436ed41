"""Programs that differ only in numbers become one, equal up to rounding."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision.sweeps.vectorized import jaxpr

_X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def _programs(make, settings, *arguments):
  return [jax.make_jaxpr(make(each))(*arguments) for each in settings]


def _together(make, settings, *arguments):
  """The results of all programs, from one program with the same arguments."""
  lifted = jaxpr.lift(_programs(make, settings, *arguments))
  flat = jax.tree.leaves(arguments)
  found = jax.jit(
    jax.vmap(lambda rows: lifted.call(rows, flat), axis_size=len(settings))
  )(lifted.numbers)
  return lifted.numbers, found


def _assert_same(make, settings, *arguments, rtol=1e-6):
  _, found = _together(make, settings, *arguments)
  for i, each in enumerate(settings):
    alone = jax.tree.leaves(jax.jit(make(each))(*arguments))
    for one, all_of_it in zip(alone, found, strict=True):
      # Sums are rounded to 1.2e-7 of their largest term, a few times.
      atol = 1e-6 * max(1.0, float(jnp.abs(one).max()))
      np.testing.assert_allclose(all_of_it[i], one, rtol=rtol, atol=atol)


def test_numbers_that_python_uses_first_come_out_right():
  def make(rate):
    # The Python floats are compared, inverted and raised to a power.
    if not 0 < rate < 1:
      raise ValueError
    return lambda x: (1 - rate) * x + rate**0.5 / (1 / rate)

  _assert_same(make, [0.1, 0.25, 0.9], _X)


def test_only_differing_constants_become_arguments():
  make = lambda rate: lambda x: rate * x + 3.0 * x  # noqa: E731
  numbers, _ = _together(make, [0.1, 0.2], _X)
  assert [each.tolist() for each in numbers] == [
    np.float32([0.1, 0.2]).tolist()
  ]
  numbers, found = _together(make, [0.1, 0.1], _X)
  assert numbers == () and found[0].shape == (2, 3, 4)


def test_numbers_inside_calls_and_in_arrays_are_found():
  def make(scale):
    weights = jnp.full((4,), scale)
    inner = jax.jit(lambda x: jnp.where(x > scale, x, x * scale))
    return lambda x: inner(x) @ weights + jax.nn.relu(x - scale).sum()

  _assert_same(make, [0.5, -0.5, 0.0], _X)


def test_numbers_inside_loops_and_branches_are_found():
  def make(numbers):
    a, b, c = numbers
    table = jnp.asarray([a, b])

    def body(carry, given):
      inner = jax.lax.fori_loop(0, 2, lambda i, y: y * a + i, carry)
      return carry * b + given.sum(), inner - c

    def function(x):
      last, each = jax.lax.scan(body, x[0] * c, x, reverse=True)
      chosen = jax.lax.switch(
        jnp.int32(x.sum() > a),
        [lambda y: y * b - 3.0, lambda y: jnp.sin(y) + c * table[0]],
        last,
      )
      # A number behind the loops has its own place.
      return chosen * (a + 5.0), each

    return function

  _assert_same(
    make, [(0.5, 2.0, 1.0), (0.25, 2.0, -1.0), (-0.5, 3.0, 1.0)], _X, rtol=1e-5
  )


def test_a_convolution_in_a_loop_has_its_own_kernel():
  images = np.random.default_rng(0).normal(size=(2, 5, 5, 3))
  images = images.astype(np.float32)
  model = nn.Conv(3, (3, 3))

  def make(seed):
    def gradient(x):
      params = model.init(jax.random.key(seed), x)
      loss = lambda p, y: jnp.sum(model.apply(p, y) ** 2)  # noqa: E731
      return jax.lax.scan(
        lambda y, _: (model.apply(params, y), jax.grad(loss)(params, y)),
        x,
        None,
        length=2,
      )

    return gradient

  _assert_same(make, [0, 1], images, rtol=2e-4)


def test_seeds_draw_the_same_values_in_a_stack():
  def make(seed):
    return lambda: jax.random.normal(jax.random.key(seed), (5,))

  _, found = _together(make, [0, 1, 7])
  alone = [make(seed)() for seed in (0, 1, 7)]
  np.testing.assert_array_equal(found[0], np.stack(alone))


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion"])
def test_a_step_of_training_with_its_own_numbers(name):
  model = nn.Dense(2)
  params = model.init(jax.random.key(0), _X)
  options = {"sgd": "momentum", "adamw": "b1", "lion": "b1"}

  def make(rates):
    learning_rate, decay = rates
    optimizer = getattr(optax, name)(
      optax.cosine_decay_schedule(learning_rate, 10),
      **{options[name]: decay},
    )

    def step(params, x):
      gradients = jax.grad(lambda p: jnp.sum(model.apply(p, x) ** 2))(params)
      updates, state = optimizer.update(
        gradients, optimizer.init(params), params
      )
      return optax.apply_updates(params, updates), state

    return step

  _assert_same(make, [(0.1, 0.9), (0.01, 0.5), (3.0, 0.99)], params, _X)


def test_convolutions_with_kernels_of_their_own():
  images = np.random.default_rng(0).normal(size=(2, 5, 5, 3))
  images = images.astype(np.float32)
  model = nn.Conv(4, (3, 3))

  def make(seed):
    def gradient(x):
      params = model.init(jax.random.key(seed), x)
      return jax.grad(lambda p: jnp.sum(model.apply(p, x) ** 2))(params)

    return gradient

  _assert_same(make, [0, 1, 2], images, rtol=2e-5)


@pytest.mark.parametrize(
  ("make", "settings"),
  [
    (lambda n: lambda x: jnp.tile(x, n), (1, 2)),
    (lambda n: lambda x: x + jnp.asarray(np.arange(n)).sum(), (2, 3)),
    # Constants are arguments of a program: one has none, the other has one.
    (
      lambda a: lambda x: x + (a if np.ndim(a) else 2.0),
      (np.ones((3, 4)), 1.0),
    ),
    (lambda f: lambda x: f(x), (jnp.sin, jnp.cos)),
    (lambda a: lambda x: x + x * a if a else x, (0.0, 0.1)),
    (lambda axis: lambda x: jnp.sum(x, axis, keepdims=True), (0, 1)),
    (
      lambda swap: lambda x: x - 2 * x.sum() if swap else 2 * x - x.sum(),
      (0, 1),
    ),
    (
      lambda rate: (
        lambda x: jax.lax.while_loop(
          lambda y: y.sum() > 1e-3, lambda y: y * rate, jnp.abs(x)
        )
      ),
      (0.1, 0.2),
    ),
  ],
)
def test_programs_that_differ_in_more_are_refused(make, settings):
  with pytest.raises(jaxpr.Different):
    jaxpr.lift(_programs(make, settings, _X))


def test_convolutions_and_their_gradients_have_the_usual_axes():
  """XLA:CPU is slow in a loop over runs with any other order."""
  images = np.random.default_rng(0).normal(size=(2, 6, 5, 3))
  kernel = np.random.default_rng(1).normal(size=(3, 2, 3, 4))
  arguments = (images.astype(np.float32), kernel.astype(np.float32))

  def make(rate):
    def loss(images, kernel):
      y = jax.lax.conv_general_dilated(
        images,
        kernel,
        (2, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
      )
      return rate * jnp.sin(y).sum()

    return jax.grad(loss, (0, 1))

  _assert_same(make, [0.5, 2.0], *arguments, rtol=1e-5)
  lifted = jaxpr.lift(_programs(make, [0.5, 2.0], *arguments))
  rows = [each[0] for each in lifted.numbers]
  lowered = jax.jit(lifted.call).lower(rows, arguments).as_text()
  axes = set(re.findall(r"dim_numbers = (\[.*?\]->\[.*?\])", lowered))
  assert axes == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
  assert lifted.convolves
  assert not jaxpr.lift(
    _programs(lambda r: lambda x: r * x, [1.0, 2.0], _X)
  ).convolves
