"""Tests of jaxvision.freezing on a small ResNet, with batch normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import freezing, models, trees

PROBE = (("fc/.*", 1.0), (".*", None))
IMAGES = jax.random.normal(jax.random.key(0), (8, 16, 16, 3))


@pytest.fixture(scope="module")
def small():
  model = models.create(
    "resnet18", num_classes=3, blocks=(1, 1), features=4, stem="small"
  )
  init = jax.jit(lambda key: model.init(key, IMAGES, train=False))
  return model, dict(init(jax.random.key(1)))


def _train(model, variables, rules):
  """Logits in training, the statistics after it, the gradients."""

  @jax.jit
  def step(params):
    def loss(params):
      is_frozen = freezing.frozen(params, rules)
      params = freezing.stop_gradients(params, is_frozen)
      with freezing.keep_statistics(model, is_frozen):
        logits, state = model.apply(
          {**variables, "params": params},
          IMAGES,
          train=True,
          mutable=["batch_stats"],
          rngs={"dropout": jax.random.key(2)},
        )
      return jnp.sum(jax.nn.log_softmax(logits)[:, 0]), (logits, state)

    return jax.grad(loss, has_aux=True)(params)

  gradients, (logits, state) = step(variables["params"])
  return logits, state, gradients


def test_a_linear_probe_sees_the_features_of_the_evaluation(small):
  model, variables = small
  logits, state, gradients = _train(model, variables, PROBE)
  expected = jax.jit(lambda v: model.apply(v, IMAGES, train=False))(variables)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
  jax.tree.map(
    np.testing.assert_array_equal,
    state["batch_stats"],
    variables["batch_stats"],
  )
  for path, gradient in trees.flatten(gradients).items():
    assert (np.abs(gradient).max() > 0) == path.startswith("fc/"), path


def test_only_what_is_frozen_keeps_its_statistics(small):
  model, variables = small
  rules = (("layer1_0/.*", None), (".*", 1.0))
  _, state, gradients = _train(model, variables, rules)
  before = trees.flatten(variables["batch_stats"])
  for path, after in trees.flatten(state["batch_stats"]).items():
    is_same = bool((after == before[path]).all())
    assert is_same == path.startswith("layer1_0/"), path
  assert np.abs(gradients["conv1"]["kernel"]).max() > 0


def test_a_normalisation_that_is_trained_in_part_is_not_frozen(small):
  model, variables = small
  rules = ((".*/bn1/bias", 1.0), (".*", None))
  _, state, _ = _train(model, variables, rules)
  moved = {
    path.rpartition("/")[0]
    for path, after in trees.flatten(state["batch_stats"]).items()
    if (after != trees.flatten(variables["batch_stats"])[path]).any()
  }
  assert moved == {"layer1_0/bn1", "layer2_0/bn1"}


def test_nothing_frozen_changes_nothing(small):
  model, variables = small
  logits, state, _ = _train(model, variables, ((".*", 1.0),))
  plain = jax.jit(
    lambda v: model.apply(v, IMAGES, train=True, mutable=["batch_stats"])
  )
  expected, expected_state = plain(variables)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    state,
    expected_state,
  )


def test_a_probe_costs_no_backward_pass(small):
  model, variables = small

  def make_loss(rules):
    def loss(params):
      is_frozen = freezing.frozen(params, rules)
      params = freezing.stop_gradients(params, is_frozen)
      with freezing.keep_statistics(model, is_frozen):
        logits, _ = model.apply(
          {**variables, "params": params},
          IMAGES,
          train=True,
          mutable=["batch_stats"],
        )
      return jnp.sum(jnp.square(logits))

    return loss

  def count_flops(function):
    return jax.jit(function).lower(variables["params"]).cost_analysis()["flops"]

  forward = count_flops(make_loss(PROBE))
  assert count_flops(jax.grad(make_loss(PROBE))) < 1.05 * forward
  assert count_flops(jax.grad(make_loss(((".*", 1.0),)))) > 2 * forward


def test_scanned_models_are_refused(small):
  model, variables = small
  is_frozen = freezing.frozen(variables["params"], PROBE)
  with pytest.raises(ValueError, match="scan_layers to False"):
    freezing.keep_statistics(model.clone(scan_layers=True), is_frozen)
