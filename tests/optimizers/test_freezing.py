"""Tests of freezing on a small ResNet, with batch normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.optimizers import freezing

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


def test_only_frozen_layers_keep_their_statistics(small):
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


_VIT = {
  "patch_size": 8,
  "width": 8,
  "depth": 3,
  "mlp_dim": 8,
  "num_heads": 2,
  "dropout": 0.5,
  "drop_path": 0.5,
}
_FIRST = r"(embedding|Transformer/(posembed|encoderblock_[01])).*|cls"
# Model, options, frozen parameters, last layers that are completely frozen.
_DROPPING = {
  "vit": ("vit_ti16", _VIT, r"(?!head).*", "Transformer"),
  "vit without class token": (
    *("vit_ti16", {**_VIT, "pool": "map", "registers": 2}),
    *(r"(?!head).*", "Transformer"),
  ),
  "vit, first blocks": (
    *("vit_ti16", _VIT, _FIRST, "Transformer/encoderblock_1"),
  ),
  "mixer": (
    "mixer_s16",
    {
      "patch_size": 8,
      "width": 8,
      "depth": 2,
      "tokens_dim": 4,
      "channels_dim": 8,
      "drop_path": 0.5,
    },
    *(r"(?!head).*", "pre_head_layer_norm"),
  ),
  "efficientnet": (
    "efficientnet_b0",
    {
      "stages": ((2, 3, 1, 1, 8), (2, 3, 2, 2, 8)),
      "stem": "small",
      "drop_connect": 0.9,
      "dropout": 0.0,
    },
    *(r"(?!classifier).*", "bn2"),
  ),
  "resnet": (
    "resnet18",
    {"blocks": (2, 2), "features": 4, "stem": "small", "drop_path": 0.9},
    *(r"(?!fc).*", "layer2_1"),
  ),
  "nasnet": (
    "nasnet_a_cifar",
    {
      "repeats": 1,
      "features": 4,
      "drop_path": 0.9,
      "total_steps": 0,
      "dropout": 0.0,
      "auxiliary": False,
    },
    *(r"(?!last_linear).*", "cell_2"),
  ),
  "mlp": (
    *("mlp", {"hidden": (8, 8), "dropout": 0.5}),
    *(r"(?!head).*", "hidden_1"),
  ),
}


_QUICK = ("mlp", "resnet", "vit, first blocks")


def _applied(model, variables, rules, key):
  is_frozen = freezing.frozen(variables["params"], rules)
  with freezing.keep_statistics(model, is_frozen):
    _, state = model.apply(
      variables,
      IMAGES,
      train=True,
      mutable=[*variables, "intermediates"],
      capture_intermediates=True,
      rngs={"dropout": jax.random.key(key)},
    )
  return trees.flatten({"intermediates": state["intermediates"]})


def _trained(model, variables, pattern):
  """{path of a layer: its outputs in training for two keys}."""
  run = jax.jit(
    lambda variables, key: _applied(
      model, variables, ((pattern, None), (".*", 1.0)), key
    )
  )
  return [run(variables, key) for key in (0, 1)]


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize(
  "case",
  [
    pytest.param(case, marks=[] if case in _QUICK else pytest.mark.slow)
    for case in _DROPPING
  ],
)
def test_frozen_layers_apply_no_dropout(case):
  """Two keys give the same outputs up to the frozen layer, as in evaluation."""
  name, options, pattern, last = _DROPPING[case]
  model = models.create(name, num_classes=3, **options)
  init = jax.jit(lambda key: model.init(key, IMAGES, train=False))
  variables = dict(init(jax.random.key(1)))

  @jax.jit
  def evaluate(variables):
    return model.apply(
      variables,
      IMAGES,
      train=False,
      mutable=["intermediates"],
      capture_intermediates=True,
    )[1]

  path = f"intermediates/{last}/__call__/0"
  expected = trees.flatten(evaluate(variables))[path]
  found = [each[path] for each in _trained(model, variables, pattern)]
  for each in found:
    np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-5)
  # If another part is frozen, they differ.
  free = [each[path] for each in _trained(model, variables, ".*bias")]
  assert np.abs(free[0] - free[1]).max() > 1e-3


@pytest.mark.parametrize(
  ("pattern", "acting"),
  [
    (r"(?!head).*", 1),
    (r"hidden_0/.*", 2),
    (r"hidden_1/.*", 1),
    (r"head/.*", 1),
    (r"(hidden_1|head)/.*", 0),
    (r"hidden_1/bias", 2),
  ],
)
def test_a_dropout_between_is_that_of_the_next_layer(pattern, acting):
  """The model has dropout after each of the two hidden layers."""
  model = models.create("mlp", num_classes=3, hidden=(8, 8), dropout=0.5)
  variables = model.init(jax.random.key(0), IMAGES, train=False)
  program = jax.make_jaxpr(
    lambda variables: _applied(
      model, variables, ((pattern, None), (".*", 1.0)), 0
    )
  )(variables)
  assert str(program).count("name=_bernoulli") == acting
