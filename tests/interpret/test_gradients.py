"""Tests of jaxvision.interpret.gradients: worked values and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_classifiers

from jaxvision.interpret import attributions, gradients, scores

_TARGETS = np.array([2, 0, 3])


def _gradient(function):
  """Gradient of a function of one example, for (b, n)."""
  return jax.jit(jax.vmap(jax.grad(function)))


def _worked(x):
  """The slope at the kink is 0, which the trapezoids with 300 steps meet."""
  return x[0] * x[1] + jax.nn.relu(x[0] - 1)


def _integrate(function, x, baseline=None, **options):
  x = jnp.asarray(x, jnp.float32)[None]
  start = jnp.zeros_like(x) if baseline is None else baseline[None]
  found = gradients.integrate(_gradient(function), x, baseline=start, **options)
  return np.asarray(found[0])


@pytest.mark.parametrize(
  ("rule", "steps", "expected"),
  [
    ("right", 1, (9, 6)),
    ("right", 10, (5.4, 3.3)),
    ("right", 50, (5.1, 3.06)),
    ("midpoint", 50, (4.98, 3.00)),
    ("trapezoid", 300, (4.995, 3.00)),
    ("midpoint", 300, (5.00, 3.00)),
  ],
)
def test_worked_integrated_gradients(rule, steps, expected):
  found = _integrate(_worked, [3, 2], rule=rule, steps=steps)
  np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize("rule", ["right", "midpoint", "trapezoid"])
def test_integrated_gradients_of_a_linear_function(rule):
  weights = jnp.array([1.0, -2, 0.5])
  x, start = jnp.array([3.0, 1, -1]), jnp.array([1.0, 4, 2])
  for steps in (1, 7):
    found = _integrate(
      lambda x: x @ weights + 5, x, start, rule=rule, steps=steps
    )
    np.testing.assert_allclose(found, weights * (x - start), rtol=1e-5)


def test_axioms_of_integrated_gradients():
  """Completeness, nothing for an idle input, equal shares of symmetric ones."""

  def function(x):
    return jnp.tanh(x[0] * x[1] + x[3]) + x[3] ** 2

  x = [0.7, 0.7, 9, -1]
  found = _integrate(function, x, rule="midpoint", steps=300)
  whole = function(jnp.array(x)) - function(jnp.zeros(4))
  np.testing.assert_allclose(found.sum(), whole, rtol=1e-4)
  assert found[2] == 0
  assert found[0] == pytest.approx(found[1], rel=1e-6) and found[0] != 0


def test_integrated_gradients_of_two_implementations_are_equal():
  found = [
    _integrate(function, [0.3, 0.8], rule="right", steps=5)
    for function in (
      lambda x: (x[0] + x[1]) ** 2,
      lambda x: x[0] ** 2 + 2 * x[0] * x[1] + x[1] ** 2,
    )
  ]
  np.testing.assert_allclose(*found, rtol=1e-5)


def test_midpoint_converges_one_order_faster_than_the_right_rule():
  def error(rule, steps):
    found = _integrate(lambda x: (x**3).sum(), [1.0, 2], rule=rule, steps=steps)
    return abs(found.sum() - 9)

  assert error("right", 10) / error("right", 20) == pytest.approx(2, rel=0.1)
  for rule in ("midpoint", "trapezoid"):
    assert error(rule, 10) / error(rule, 20) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("rule", ["right", "midpoint"])
def test_x_gradient_is_integrated_in_a_relu_net_without_biases(steps, rule):
  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(5, 8)), rng.normal(size=8)
  gradient = _gradient(lambda x: jax.nn.relu(x @ first) @ second)
  x = jnp.asarray(rng.normal(size=(4, 5)), jnp.float32)
  found = gradients.integrate(
    gradient, x, baseline=jnp.zeros_like(x), steps=steps, rule=rule
  )
  expected = gradients.times_input(gradient, x)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  sums = jax.nn.relu(x @ first) @ second
  np.testing.assert_allclose(expected.sum(axis=1), sums, rtol=1e-4)


def _smooth(function, x, **options):
  return np.asarray(
    gradients.smooth(_gradient(function), x, jax.random.key(0), **options)
  )


def test_smoothgrad_of_a_linear_function():
  weights = jnp.array([1.0, -2, 0.5])
  x = jnp.array([[3.0, 1, -1]])
  smooth = functools.partial(
    _smooth, lambda x: x @ weights, x, samples=5, noise=0.2
  )
  np.testing.assert_allclose(smooth(), weights[None], rtol=1e-6)
  np.testing.assert_allclose(smooth(form="squared"), weights[None] ** 2)
  np.testing.assert_array_equal(smooth(form="variance"), np.zeros((1, 3)))


def test_smoothgrad_of_a_sum_of_squares():
  """Mean 2 x, mean of the squares 4 (x^2 + s^2), variance 4 s^2.

  A thousand inputs of one value have different noise; the mean over them has a
  relative standard deviation below 0.01. The range is 2, so s is 0.4.
  """
  x = jnp.full((1, 1002), 0.5).at[0, :2].set(jnp.array([1.5, -0.5]))
  expected = {"mean": 1.0, "squared": 4 * (0.25 + 0.16), "variance": 0.64}
  for form, value in expected.items():
    found = _smooth(
      lambda x: (x**2).sum(), x, samples=200, noise=0.2, form=form
    )
    # The variance of a sample is smaller by 1 / samples.
    assert found[0, 2:].mean() == pytest.approx(value, rel=0.02)


def test_an_image_is_smoothed_alike_beside_others():
  x = jax.random.normal(jax.random.key(3), (3, 6))
  smooth = functools.partial(
    _smooth, lambda x: (x**3).sum(), samples=4, noise=0.1
  )
  np.testing.assert_allclose(smooth(x)[1:2], smooth(x[1:2]), rtol=1e-6)


def test_gradients_of_the_linear_model_are_its_templates():
  model, variables = small_classifiers.classifier("linear", side=4)
  images = small_classifiers.images(side=4)
  templates = variables["params"]["head"]["kernel"].T.reshape(4, 4, 4, 3)
  expected = templates[_TARGETS]
  found = scores.gradients(model, variables, images, _TARGETS)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  for text, values in (
    ("gradient", np.abs(expected).max(axis=-1)),
    ("gradient(channels='sum')", expected.sum(axis=-1)),
    ("smoothgrad(samples=3)", np.abs(expected).max(axis=-1)),
    ("x_gradient", (images * expected).sum(axis=-1)),
    ("integrated_gradients(steps=2)", (images * expected).sum(axis=-1)),
    (
      "integrated_gradients(steps=1, baseline='mean')",
      ((images - images.mean((1, 2), keepdims=True)) * expected).sum(axis=-1),
    ),
    (
      "integrated_gradients(steps=1, baseline='minimum', rule='right')",
      ((images - images.min((1, 2), keepdims=True)) * expected).sum(axis=-1),
    ),
  ):
    maps = attributions.create(text)(model, variables, images, _TARGETS)
    np.testing.assert_allclose(maps, values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "mixer"])
def test_integrated_gradients_of_a_model_are_complete(name):
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  method = attributions.create("integrated_gradients(steps=64)")
  maps = method(model, variables, images, _TARGETS)
  score = functools.partial(scores.scores, model, variables, targets=_TARGETS)
  whole = score(images) - score(jnp.zeros_like(images))
  np.testing.assert_allclose(maps.sum(axis=(1, 2)), whole, atol=1e-3)
