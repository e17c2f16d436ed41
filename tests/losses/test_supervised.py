"""Tests of jaxvision.losses against published numbers and simple loops."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import test_util

from jaxvision import losses

# CS231n, notes on linear classification.
SCORES = jnp.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
ONE_HOT = jnp.eye(3)


def _random(batch=5, num_classes=7, seed=0):
  rng = np.random.default_rng(seed)
  logits = rng.normal(0, 3, (batch, num_classes)).astype(np.float32)
  labels = rng.integers(0, num_classes, batch)
  return logits, labels, np.eye(num_classes, dtype=np.float32)[labels]


def test_hinge_of_cs231n():
  values = losses.create("hinge")(SCORES, ONE_HOT)
  np.testing.assert_allclose(values, [2.9, 0.0, 12.9], rtol=1e-6)
  assert float(values.mean()) == pytest.approx(5.2667, abs=1e-4)


def test_softmax_of_cs231n():
  assert losses.softmax(SCORES, ONE_HOT)[0] == pytest.approx(2.04036, abs=1e-5)


def test_hinges_equal_the_loops_of_their_definition():
  logits, labels, targets = _random()
  for power, loss in ((1, losses.hinge), (2, losses.squared_hinge)):
    expected = [
      sum(
        max(0.0, row[j] - row[y] + 0.7) ** power
        for j in range(len(row))
        if j != y
      )
      for row, y in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(
      loss(logits, targets, delta=0.7), expected, rtol=1e-5
    )


def test_square_equals_its_formula_with_k_and_m():
  logits, labels, targets = _random()
  k, M = 15.0, 30.0
  expected = [
    (k * (row[y] - M) ** 2 + sum(f**2 for i, f in enumerate(row) if i != y))
    / len(row)
    for row, y in zip(logits, labels, strict=True)
  ]
  loss = losses.create("square", k=k, M=M)
  np.testing.assert_allclose(loss(logits, targets), expected, rtol=1e-5)


def test_sigmoid_is_the_sum_over_classes():
  logits, _, targets = _random()
  p = 1 / (1 + np.exp(-logits.astype(np.float64)))
  expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(-1)
  np.testing.assert_allclose(
    losses.sigmoid(logits, targets), expected, rtol=1e-5
  )


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_loss_is_per_example(name):
  loss = losses.create(name)
  logits, _, targets = _random()
  values = loss(logits, targets)
  assert values.shape == (5,)
  alone = [loss(logits[i : i + 1], targets[i : i + 1])[0] for i in range(5)]
  np.testing.assert_allclose(values, alone, rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "sigmoid", "square"])
def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses(name):
  """Mixup needs this property."""
  loss = losses.create(name)
  logits, _, first = _random()
  second = np.roll(first, 2, axis=1)
  np.testing.assert_allclose(
    loss(logits, 0.3 * first + 0.7 * second),
    0.3 * loss(logits, first) + 0.7 * loss(logits, second),
    rtol=1e-5,
  )


def test_hinge_of_soft_targets_measures_from_their_score():
  logits = jnp.array([[1.0, 3.0, 2.5]])
  targets = jnp.array([[0.5, 0.5, 0.0]])
  expected = 0.5 * 0.0 + 0.5 * (3 - 2 + 1) + 1.0 * (2.5 - 2 + 1)
  assert losses.hinge(logits, targets)[0] == pytest.approx(expected)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_are_those_of_finite_differences(name):
  loss = losses.create(name)
  logits, _, targets = _random(batch=2, num_classes=4)
  test_util.check_grads(
    lambda x: loss(x, targets), (jnp.asarray(logits),), 1, rtol=2e-2, eps=1e-2
  )


@pytest.mark.parametrize("name", losses.LOSSES)
def test_low_precision_logits_give_a_float32_loss(name):
  logits, _, targets = _random()
  low = jnp.asarray(logits, jnp.bfloat16)
  value = losses.create(name)(low, targets)
  assert value.dtype == jnp.float32
  expected = losses.create(name)(low.astype(jnp.float32), targets)
  np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("softmax", math.log(10)),
    ("sigmoid", 10 * math.log(2)),
    ("hinge", 9.0),
    ("squared_hinge", 9.0),
    ("square", 0.1),
  ],
)
def test_untrained(name, expected):
  assert losses.untrained(name, {}, 10) == pytest.approx(expected, rel=1e-6)


def test_untrained_with_options():
  value = losses.untrained("square", {"k": 15.0, "M": 30.0}, 1000)
  assert value == pytest.approx(15 * 900 / 1000)
  smoothed = losses.untrained("softmax", {"label_smoothing": 0.1}, 10)
  assert smoothed == pytest.approx(2.302585, abs=1e-6)


@pytest.mark.parametrize("form", ["uniform", "others"])
def test_smoothed_targets_stay_distributions(form):
  rng = np.random.default_rng(0)
  soft = jnp.asarray(rng.dirichlet(np.ones(6), 4), jnp.float32)
  for targets in (jnp.eye(6)[:4], soft):
    smoothed = losses.smooth(targets, rate=0.1, form=form)
    np.testing.assert_allclose(smoothed.sum(-1), 1, rtol=1e-6)
    same = losses.smooth(targets, rate=0.0, form=form)
    np.testing.assert_array_equal(same, targets)


def test_uniform_smoothing_is_that_of_optax():
  targets = jnp.eye(5)
  np.testing.assert_allclose(
    losses.smooth(targets, rate=0.1, form="uniform"),
    optax.smooth_labels(targets, 0.1),
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  ("form", "num_classes", "gap"),
  [
    ("others", 10, 4.39445),
    ("uniform", 10, 4.51086),
    ("others", 1000, 9.10398),
    ("uniform", 1000, 9.10509),
  ],
)
def test_smoothing_asks_for_the_published_gap(form, num_classes, gap):
  """He et al. 2019: the best logits lead by log of the ratio of the targets."""
  smoothed = losses.smooth(jnp.eye(1, num_classes), rate=0.1, form=form)[0]
  lead = math.log(smoothed[0]) - math.log(smoothed[1])
  assert lead == pytest.approx(gap, abs=1e-4)
  logits = jnp.zeros((1, num_classes)).at[0, 0].set(lead)
  loss = functools.partial(
    losses.softmax, label_smoothing=0.1, smoothing_form=form
  )
  slope = jax.grad(lambda x: loss(x, jnp.eye(1, num_classes))[0])(logits)
  np.testing.assert_allclose(slope, 0, atol=1e-6)


def test_the_forms_are_equal_at_rates_that_correspond():
  targets = jnp.eye(4)
  np.testing.assert_allclose(
    losses.smooth(targets, rate=0.2, form="uniform"),
    losses.smooth(targets, rate=0.2 * 3 / 4, form="others"),
    rtol=1e-6,
  )


def test_penalty_and_its_gradient():
  params = {"a": {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([9.0])}}
  penalty = functools.partial(
    losses.penalty, l1=0.5, l2=0.1, pattern=".*kernel"
  )
  assert penalty(params) == pytest.approx(0.5 * 3 + 0.1 / 2 * 5)
  slope = jax.grad(penalty)(params)["a"]
  np.testing.assert_allclose(
    slope["kernel"], [0.5 + 0.1, -0.5 - 0.2], rtol=1e-6
  )
  np.testing.assert_array_equal(slope["bias"], [0.0])


def test_penalty_of_nothing():
  params = {"bias": jnp.ones(3)}
  off = losses.penalty(params, l1=0.0, l2=0.0, pattern=".*kernel")
  assert off.shape == () and float(off) == 0
  with pytest.raises(ValueError, match=r"loss\.penalty_on: '\.\*kernel'"):
    losses.penalty(params, l1=0.0, l2=1.0, pattern=".*kernel")


def test_errors_name_the_remedy():
  with pytest.raises(ValueError, match="did you mean 'softmax'"):
    losses.create("sofmax")
  with pytest.raises(ValueError, match="did you mean 'label_smoothing'"):
    losses.create("softmax", label_smooting=0.1)
  with pytest.raises(ValueError, match="no option 'label_smoothing'"):
    losses.create("hinge", label_smoothing=0.1)
  with pytest.raises(ValueError, match="'logits' is not an option"):
    losses.create("hinge", logits=0)
  with pytest.raises(ValueError, match="did you mean 'others'"):
    losses.smooth(ONE_HOT, rate=0.1, form="other")
  with pytest.raises(ValueError, match=r"1\.5 is not in \[0, 1\)"):
    losses.smooth(ONE_HOT, rate=1.5, form="uniform")


def test_focal_losses_equal_their_formulas():
  logits, labels, targets = _random()
  p = np.exp(logits - logits.max(-1, keepdims=True)).astype(np.float64)
  p = (p / p.sum(-1, keepdims=True))[np.arange(len(labels)), labels]
  np.testing.assert_allclose(
    losses.softmax_focal(logits, targets, gamma=1.5),
    -((1 - p) ** 1.5) * np.log(p),
    rtol=1e-4,
    atol=1e-6,
  )
  several = np.minimum(targets + np.roll(targets, 2, axis=1), 1)
  expected = optax.sigmoid_focal_loss(logits, several, alpha=0.3, gamma=1.5)
  np.testing.assert_allclose(
    losses.sigmoid_focal(logits, several, gamma=1.5, alpha=0.3),
    expected.sum(-1),
    rtol=1e-5,
  )


def test_focal_losses_without_focus_are_cross_entropies():
  logits, _, targets = _random(seed=3)
  np.testing.assert_allclose(
    losses.softmax_focal(logits, targets, gamma=0),
    losses.softmax(logits, targets),
    rtol=1e-6,
  )
  np.testing.assert_allclose(
    losses.sigmoid_focal(logits, targets, gamma=0, alpha=None),
    losses.sigmoid(logits, targets),
    rtol=1e-6,
  )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_losses_of_extreme_logits_have_finite_gradients(gamma):
  logits = jnp.asarray([[-200.0, 0.0, 200.0], [200.0, -200.0, 0.0]])
  targets = jnp.asarray([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
  for loss in (losses.softmax_focal, losses.sigmoid_focal):
    value, gradient = jax.value_and_grad(
      lambda x, f=loss: f(x, targets, gamma=gamma).sum()
    )(logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_losses_of_numbers_equal_their_formulas():
  rng = np.random.default_rng(0)
  outputs, targets = rng.normal(0, 2, (2, 9, 3)).astype(np.float32)
  np.testing.assert_allclose(
    losses.squared_error(outputs, targets),
    np.mean((outputs - targets) ** 2, axis=1),
    rtol=1e-5,
  )
  for delta in (0.1, 1.0, 10.0):
    np.testing.assert_allclose(
      losses.huber(outputs, targets, delta=delta),
      optax.huber_loss(outputs, targets, delta=delta).mean(-1),
      rtol=1e-5,
    )


def test_weights_multiply_the_losses_of_their_classes():
  logits, labels, targets = _random()
  weights = tuple(range(1, 8))
  loss = losses.weighted(losses.softmax, weights)
  np.testing.assert_allclose(
    loss(logits, targets),
    np.take(weights, labels) * np.asarray(losses.softmax(logits, targets)),
    rtol=1e-6,
  )
  mixed = 0.25 * targets + 0.75 * np.roll(targets, 1, axis=0)
  factors = 0.25 * np.take(weights, labels)
  factors = factors + 0.75 * np.take(weights, np.roll(labels, 1))
  np.testing.assert_allclose(
    loss(logits, mixed),
    factors * np.asarray(losses.softmax(logits, mixed)),
    rtol=1e-5,
  )
  with pytest.raises(ValueError, match="has 7 numbers for 3 classes"):
    loss(SCORES, ONE_HOT)


def test_balanced_weights_are_those_of_scikit_learn():
  from sklearn.utils import class_weight

  labels = np.repeat([0, 1, 2], [50, 3, 7])
  expected = class_weight.compute_class_weight(
    "balanced", classes=np.arange(3), y=labels
  )
  found = losses.balanced_weights(np.bincount(labels).tolist())
  np.testing.assert_allclose(found, expected, rtol=1e-12)
  assert np.mean(np.take(found, labels)) == pytest.approx(1)
  with pytest.raises(ValueError, match=r"1 classes have no example.*class 1"):
    losses.balanced_weights([4, 0])


def test_losses_must_fit_the_labels():
  losses.check_labels("sigmoid", "sets")
  losses.check_labels("my_loss.py:mine", "numbers")
  with pytest.raises(
    ValueError, match=r"'softmax'.*'sets'; expected .*sigmoid"
  ):
    losses.check_labels("softmax", "sets")
  fitting = {name for each in losses.LOSSES_OF_LABELS.values() for name in each}
  assert fitting == set(losses.LOSSES)
