"""Tests of remat: fewer activations are kept, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.optimizers import freezing
from jaxvision.training.step import remat

VIT = {
  "patch_size": 4,
  "width": 16,
  "depth": 3,
  "mlp_dim": 64,
  "num_heads": 2,
  "dropout": 0.1,
  "drop_path": 0.2,
}
BLOCKS = ((1, 3, 1, 1, 16), (2, 5, 2, 6, 24))
MODELS = {
  "vit_ti16": VIT,
  "vit_ti16 scanned": {**VIT, "scan_layers": True},
  "resnet18": {"blocks": (1, 2), "features": 8, "drop_path": 0.2},
  "resnet18 scanned": {"blocks": (3,), "features": 8, "scan_layers": True},
  "mixer_s16": {
    "patch_size": 4,
    "width": 16,
    "depth": 2,
    "tokens_dim": 8,
    "channels_dim": 64,
    "drop_path": 0.2,
  },
  "bit_r50x1": {"units": (2, 1), "stem": "small"},
  "efficientnet_b0": {"width": 0.25, "stages": BLOCKS, "stem": "small"},
  "shufflenet_v2_x1_0": {
    "features": (28,),
    "head_features": 32,
    "repeats": (2,),
    "stem": "small",
  },
}
QUICK = ("vit_ti16 scanned", "resnet18", "shufflenet_v2_x1_0")
SHAPE = (16, 16, 3)
# Most of the time is compilation.
_FAST = {"xla_backend_optimization_level": 0}

of_every_model = pytest.mark.parametrize("name", MODELS)


def _create(name, **options):
  known = MODELS.get(name, {})
  return models.create(name.split()[0], num_classes=3, **known, **options)


def _variables(model):
  images = jnp.zeros((1, *SHAPE))
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), images, train=False)
  )
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    is_statistic = path[0].key == "batch_stats"
    values = rng.normal(size=leaf.shape) ** 2 + 0.5
    return (values if is_statistic else 0.2 * values - 0.2).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def _loss(model, state, batch_size=4):
  images = np.random.default_rng(1).normal(size=(batch_size, *SHAPE))

  def loss(params):
    logits, new = model.apply(
      {"params": params, **state},
      images.astype(np.float32),
      train=True,
      mutable=list(state),
      rngs={"dropout": jax.random.key(2)},
    )
    return jnp.sum(logits * jnp.asarray([[1.0, -2.0, 0.5]])), dict(new)

  return loss


def _around(policy, model, function):
  """The function, traced under a policy."""

  def traced(*arguments):
    with remat.applied(model, policy, image_shape=SHAPE):
      return function(*arguments)

  return traced


@pytest.mark.matrix(every=6)
@pytest.mark.parametrize("policy", remat.POLICIES)
@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in MODELS
  ],
)
def test_gradients_and_statistics_are_the_same(name, policy):
  """With equal random numbers of dropout and equal names."""
  model = _create(name)
  variables = _variables(model)
  params = variables.pop("params")
  gradient = jax.grad(_loss(model, variables), has_aux=True)
  compiled = [
    jax.jit(each, compiler_options=_FAST)(params)
    for each in (gradient, _around(policy, model, gradient))
  ]
  plain, found = map(trees.flatten, compiled)
  assert found.keys() == plain.keys()
  largest = max(np.abs(leaf).max() for leaf in plain.values())
  for path, leaf in plain.items():
    np.testing.assert_allclose(
      found[path], leaf, rtol=1e-4, atol=1e-5 * largest, err_msg=path
    )


def _kept(model, policy):
  """Bytes that the forward pass leaves for the backward pass."""
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)), train=False)
  )
  state = {k: jax.tree.map(jnp.ones_like, v) for k, v in shapes.items()}
  params = state.pop("params")
  loss = _loss(model, state, batch_size=64)

  def forward(params):
    _, backward, _ = jax.vjp(loss, params, has_aux=True)
    return backward

  if policy != "none":
    forward = _around(policy, model, forward)
  leaves = jax.tree.leaves(jax.eval_shape(forward, params))
  own = sum(leaf.size for leaf in jax.tree.leaves((params, state)))
  return sum(leaf.size for leaf in leaves) - own


@pytest.mark.matrix("vit_ti16")
@of_every_model
def test_less_is_kept(name):
  model = _create(name)
  none, products, blocks = (
    _kept(model, each) for each in ("none", "products", "blocks")
  )
  assert blocks < products < 0.8 * none
  assert blocks < 0.65 * none


def test_a_model_without_blocks_is_taken_as_a_whole():
  model = _create("vgg11_bn", hidden=(16,), blocks=(2, 2), pool_size=1)
  assert _kept(model, "products") < 0.7 * _kept(model, "none")
  with pytest.raises(ValueError, match="Vgg has no blocks"):
    remat.applied(model, "blocks", image_shape=SHAPE)


def test_frozen_statistics_stay():
  """Freezing depends on the paths of modules, which blocks do not change."""
  model = _create("resnet18")
  variables = _variables(model)
  params = variables.pop("params")
  rules = (("layer.*", None), (".*", 1.0))
  is_frozen = freezing.frozen(params, rules)

  def apply(params):
    with freezing.keep_statistics(model, is_frozen):
      return _loss(model, variables)(params)

  _, new = jax.jit(_around("blocks", model, apply))(params)
  old = trees.flatten(variables)
  for path, leaf in trees.flatten(new).items():
    moved = not np.array_equal(leaf, old[path])
    assert moved == ("layer" not in path), path


def test_policies_have_names():
  remat.check("none")
  remat.check("blocks")
  with pytest.raises(ValueError, match="did you mean 'blocks'"):
    remat.check("block")
