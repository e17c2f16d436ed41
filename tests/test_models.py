"""The door, and what every model must do, on a small variant of each.

To rewrite the golden texts after an intended change, run this file as a script.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxvision import features, models, trees

GOLDEN = pathlib.Path(__file__).parent / "golden"
CLASSES = 5

# Each Linen module in at least one small form.
SMALL = {
  "alexnet": {"features": (8, 12, 16, 8, 8), "stem": "small"},
  "alexnet_2012": {"features": (8, 12, 16, 8, 8), "stem": "small"},
  "efficientnet_b0": {
    "width": 0.25,
    "stages": ((1, 3, 1, 1, 16), (2, 5, 2, 6, 32)),
    "stem": "small",
  },
  "linear": {},
  "mlp": {"hidden": (12, 8)},
  "maxout_mlp": {"hidden": (6,), "pieces": 3},
  "resnet18": {"blocks": (1, 1), "features": 8, "stem": "small"},
  "resnet50": {"blocks": (1, 1), "features": 8},
  "shufflenet_v2_x1_0": {
    "features": (28, 40),
    "head_features": 32,
    "repeats": (2, 1),
    "stem": "small",
  },
  "vgg11": {"blocks": (1, 1), "features": 8, "pool_size": 2, "hidden": (12,)},
  "vit_ti16": {
    "patch_size": 4,
    "width": 12,
    "depth": 2,
    "mlp_dim": 24,
    "num_heads": 3,
  },
}

# Trainable parameters with 1000 classes, from the papers' authors' tests (vit),
# torchvision (resnet) and arithmetic (the others).
PUBLISHED = {
  "linear": 32 * 32 * 3 * 1000 + 1000,
  "mlp": 3073 * 512 + 513 * 512 + 513 * 1000,
  "maxout_mlp": 3073 * 240 * 5 + 241 * 240 * 5 + 241 * 1000,
  "resnet18": 11_689_512,
  "resnet34": 21_797_672,
  "resnet50": 25_557_032,
  "resnet101": 44_549_160,
  "resnet152": 60_192_808,
  "vit_ti16": 5_717_416,
  "vit_s32": 22_878_952,
  "vit_s16": 22_050_664,
  "vit_b32": 88_224_232,
  "vit_b16": 86_567_656,
  "vit_b8": 86_576_872,
  "vit_l32": 306_535_400,
  "vit_l16": 304_326_632,
  "vit_h14": 632_045_800,
  "vit_g14": 1_012_611_432,
}

all_small = pytest.mark.parametrize("name", SMALL)


def _images(*shape, seed=0):
  return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def _small(name, *, channels=3, size=16, dtype="float32"):
  """Returns a model and random variables, drawn without compiling its `init`.

  The zeros and ones of an initialisation (heads, biases, scales) would hide
  mistakes.
  """
  model = models.create(name, num_classes=CLASSES, dtype=dtype, **SMALL[name])
  shapes = features.variable_shapes(model, image_shape=(size, size, channels))
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      values = rng.uniform(0.5, 1.5, leaf.shape)
    else:
      fan_in = max(1, np.prod(leaf.shape[:-1]))
      values = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
    return jnp.asarray(values, leaf.dtype)

  return model, jax.tree.map_with_path(draw, shapes)


@functools.partial(jax.jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images, train=False)


def _train_logits(model, variables, images):
  return model.apply(
    variables,
    images,
    train=True,
    mutable=["batch_stats"],
    rngs={"dropout": jax.random.key(1)},
  )


def test_every_module_is_in_this_battery():
  modules = {variant["module"] for variant in models.VARIANTS.values()}
  assert modules == {models.VARIANTS[name]["module"] for name in SMALL}


def test_names_matches_shell_patterns():
  assert models.names("resnet*") == [
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
  ]
  assert models.names("zebra*") == []
  assert set(models.names()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_count(name):
  spec = models.spec(name)
  model = models.create(name, num_classes=1000)
  shapes = features.variable_shapes(
    model, image_shape=(spec.image_size, spec.image_size, 3)
  )
  assert trees.count(shapes["params"]) == PUBLISHED[name]
  assert spec.parameters == PUBLISHED[name]


def test_spec_is_a_frozen_record():
  spec = models.spec("resnet50")
  assert (spec.name, spec.image_size) == ("resnet50", 224)
  assert spec.mean == (0.485, 0.456, 0.406)
  with pytest.raises(dataclasses.FrozenInstanceError):
    spec.image_size = 32


def test_unknown_model_names_the_nearest():
  with pytest.raises(ValueError, match=r"'resnet5O'.*'resnet50'"):
    models.create("resnet5O", num_classes=2)
  with pytest.raises(ValueError, match=r"'vit-b16'.*'vit_b16'"):
    models.spec("vit-b16")


def test_unknown_option_names_the_nearest():
  with pytest.raises(ValueError, match=r"resnet18.*'featurs'.*'features'"):
    models.create("resnet18", num_classes=2, featurs=16)


def test_options_override_the_variant():
  model = models.create("resnet18", num_classes=2, blocks=(1, 1, 1))
  assert model.blocks == (1, 1, 1)
  assert models.create("resnet18", num_classes=2).blocks == (2, 2, 2, 2)


@all_small
def test_names_and_shapes_are_the_golden_ones(name):
  golden = (GOLDEN / f"variables_{name}.txt").read_text()
  assert _golden_text(name) == golden, (
    "names or shapes of variables changed, so older checkpoints no longer "
    f"load; if that is intended, run python {pathlib.Path(__file__).name}"
  )


def _golden_text(name):
  model = models.create(name, num_classes=CLASSES, **SMALL[name])
  shapes = features.variable_shapes(model, image_shape=(16, 16, 3))
  rows = features.parameter_table(shapes)
  return "".join(f"{path} {shape}\n" for path, shape, _ in rows)


@all_small
@pytest.mark.parametrize("size, channels", [(8, 1), (32, 3)])
def test_logits_of_any_size_and_number_of_channels(name, size, channels):
  model, variables = _small(name, size=size, channels=channels)
  logits = _logits(model, variables, _images(3, size, size, channels))
  assert logits.shape == (3, CLASSES)
  assert logits.dtype == jnp.float32
  assert np.isfinite(logits).all()
  assert np.std(logits, axis=0).min() > 0  # The image matters.


@all_small
def test_examples_do_not_influence_each_other_in_evaluation(name):
  model, variables = _small(name)
  images = _images(4, 16, 16, 3)
  others = images.at[1:].set(_images(3, 16, 16, 3, seed=1))
  together = _logits(model, variables, images)
  np.testing.assert_array_equal(
    together[0], _logits(model, variables, others)[0]
  )
  order = jnp.array([2, 0, 3, 1])
  np.testing.assert_allclose(
    together[order],
    _logits(model, variables, images[order]),
    rtol=1e-4,
    atol=1e-5,
  )


@all_small
def test_gradients_reach_every_parameter(name):
  model, variables = _small(name)
  images, weights = _images(4, 16, 16, 3), _images(4, CLASSES, seed=1)

  @jax.jit
  @jax.grad
  def gradient(params):
    moved = {**variables, "params": params}
    logits, _ = _train_logits(model, moved, images)
    # Statistics of the batch cancel the biases of linear layers before them,
    # running ones do not.
    logits += model.apply(moved, images, train=False)
    return (logits * weights).sum()

  for path, leaf in trees.flatten(gradient(variables["params"])).items():
    assert np.isfinite(leaf).all(), path
    # A bias of all keys shifts every attention logit alike: softmax cancels it.
    if not path.endswith("key/bias"):
      assert np.abs(leaf).max() > 1e-5, path


@all_small
def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters(name):
  model, variables = _small(name)
  half, half_variables = _small(name, dtype="bfloat16")
  assert {x.dtype for x in jax.tree.leaves(half_variables)} == {
    jnp.dtype("float32")
  }
  images = _images(4, 16, 16, 3)
  exact = _logits(model, variables, images)
  rounded = _logits(half, half_variables, images)
  assert rounded.dtype == jnp.float32
  error = np.abs(rounded - exact).max() / np.abs(exact).max()
  assert 1e-5 < error < 5e-2


@all_small
def test_sharded_batch_gives_the_results_of_one_device(name):
  model, variables = _small(name)
  mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
  sharded = NamedSharding(mesh, PartitionSpec("batch"))
  replicated = NamedSharding(mesh, PartitionSpec())
  images = _images(8, 16, 16, 3)

  run = jax.jit(functools.partial(_train_logits, model))
  expected = run(variables, images)
  actual = run(
    jax.device_put(variables, replicated), jax.device_put(images, sharded)
  )
  # Batch statistics too: those of all eight devices together.
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
    actual,
    expected,
  )


if __name__ == "__main__":
  for each in SMALL:
    (GOLDEN / f"variables_{each}.txt").write_text(_golden_text(each))
