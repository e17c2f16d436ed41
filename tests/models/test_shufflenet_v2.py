"""ShuffleNet v2: channels of each unit in both layouts, initialisation."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.models import shufflenet_v2
from jaxvision.variables import variable_shapes

SMALL = {
  "features": (32, 40),
  "head_features": 16,
  "repeats": (2, 1),
  "stem": "small",
}
IMAGES = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))


def _create(name="shufflenet_v2_x1_0", **options):
  return models.create(name, num_classes=5, **{**SMALL, **options})


def _variables(model):
  """Random variables, drawn without compiling `init`."""
  shapes = variable_shapes(model, image_shape=IMAGES.shape[1:])
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    fan_in = max(1, np.prod(leaf.shape[:-1]))
    values = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
    return values.astype(np.float32)

  return jax.tree.map_with_path(draw, shapes)


def _shapes(name, **options):
  model = models.create(name, num_classes=5, **options)
  shapes = variable_shapes(model, image_shape=(64, 64, 3))
  return {path: leaf.shape for path, leaf in trees.flatten(shapes).items()}


@functools.partial(jax.jit, static_argnums=0)
def _run(model, variables, images, key):
  return model.apply(
    variables,
    images,
    train=True,
    mutable=["batch_stats", "intermediates"],
    capture_intermediates=lambda each, _: isinstance(each, shufflenet_v2.Unit),
    rngs={"dropout": key},
  )


def test_interleaving_undoes_the_split():
  x = jax.random.normal(jax.random.key(0), (2, 3, 3, 10))
  even, odd = shufflenet_v2.split_even_odd(x)
  np.testing.assert_array_equal(even[0, 0, 0], x[0, 0, 0, [0, 2, 4, 6, 8]])
  np.testing.assert_array_equal(shufflenet_v2.interleave(even, odd), x)


@pytest.mark.parametrize("layout", ["paper", "torchvision"])
def test_half_of_the_channels_pass_a_unit_of_stride_one(layout):
  model = _create(layout=layout)
  _, state = _run(model, _variables(model), IMAGES, jax.random.key(0))
  outputs = state["intermediates"]
  before, after = (outputs[f"stage2_{i}"]["__call__"][0] for i in range(2))
  if layout == "paper":
    np.testing.assert_array_equal(after[..., :16], before[..., ::2])
    assert (after[..., 16:] != before[..., 1::2]).any()
  else:
    np.testing.assert_array_equal(after[..., ::2], before[..., :16])
    assert (after[..., 1::2] != before[..., 16:]).any()


def test_layouts_have_equal_shapes_where_stages_double():
  """In the first unit of a stage, half of the output is then the input."""
  paper, torchvision = (
    _shapes("shufflenet_v2_x0_5", layout=each)
    for each in ("paper", "torchvision")
  )
  assert torchvision.pop("params/fc/bias") == (5,)
  assert paper == torchvision
  paper, torchvision = (
    _shapes("shufflenet_v2_x1_0", layout=each)
    for each in ("paper", "torchvision")
  )
  path = "params/stage2_0/branch{}/kernel"
  assert paper[path.format("1_2")] == (1, 1, 24, 24)
  assert paper[path.format("2_5")] == (1, 1, 58, 116 - 24)
  assert torchvision[path.format("1_2")] == (1, 1, 24, 58)
  assert torchvision[path.format("2_5")] == (1, 1, 58, 58)
  different = {p for p in paper if paper[p] != torchvision[p]}
  assert {p.split("/")[1] for p in different} == {"stage2_0"}


@pytest.mark.slow
def test_initial_values_are_those_of_the_authors_code():
  model = _create(features=(64, 128), repeats=(1, 2))
  init = jax.jit(functools.partial(model.init, train=False))
  params = init(jax.random.key(0), IMAGES)["params"]
  deviations = {
    path.removesuffix("/kernel"): float(np.std(leaf))
    for path, leaf in trees.flatten(params).items()
    if path.endswith("kernel")
  }
  close = functools.partial(pytest.approx, rel=0.15)
  assert deviations["conv1_0"] == close(0.01)
  assert deviations["stage3_1/branch2_0"] == close(1 / 64)
  assert deviations["stage3_1/branch2_3"] == close(1)  # one input per group
  assert deviations["conv5_0"] == close(1 / 128)
  assert deviations["fc"] == close(0.01, rel=0.3)
  biases = {p: b for p, b in trees.flatten(params).items() if "bias" in p}
  assert all((bias == np.float32(1e-4)).all() for bias in biases.values())
  assert "fc/bias" not in biases


def test_only_the_widest_has_dropout_and_only_in_training():
  rates = {
    name: models.create(name, num_classes=5).dropout
    for name in models.names("shufflenet_v2_*")
  }
  assert {name for name, rate in rates.items() if rate} == {
    "shufflenet_v2_x2_0"
  }
  model = _create("shufflenet_v2_x2_0")
  variables = _variables(model)
  one, two = (
    _run(model, variables, IMAGES, jax.random.key(i))[0] for i in range(2)
  )
  assert np.abs(one - two).max() > 1e-3
  evaluate = functools.partial(model.apply, variables, IMAGES, train=False)
  assert jax.eval_shape(evaluate).shape == (4, 5)  # needs no key


@pytest.mark.parametrize(
  "stem, size, expected",
  [
    ("imagenet", 224, [28, 14, 7]),
    ("imagenet", 32, [4, 2, 1]),
    ("small", 32, [16, 8, 4]),
  ],
)
def test_resolutions(stem, size, expected):
  sizes = {}

  def observe(call, args, kwargs, context):
    result = call(*args, **kwargs)
    if isinstance(context.module, shufflenet_v2.Unit):
      sizes[context.module.name.split("_")[0]] = result.shape[1]
    return result

  model = models.create("shufflenet_v2_x1_0", num_classes=5, stem=stem)
  with nn.intercept_methods(observe):
    variable_shapes(model, image_shape=(size, size, 3))
  assert list(sizes.values()) == expected


def test_complexity_is_that_of_table_5():
  millions = [
    round(1000 * models.spec(name).gmacs)
    for name in models.names("shufflenet_v2_*")
  ]
  assert millions == pytest.approx([41, 146, 299, 591], abs=1)


def test_activation_norm_and_initializer_by_name():
  one = {"features": (32,), "repeats": (1,)}
  assert set(_variables(_create(norm="layer_norm", **one))) == {"params"}
  plain = _create(**one)
  variables = _variables(plain)
  logits, others = (
    jax.jit(functools.partial(each.apply, train=False))(variables, IMAGES)
    for each in (plain, plain.clone(activation="mish"))
  )
  assert np.abs(logits - others).max() > 1e-3
  zeros = plain.clone(initializer="zeros")
  init = jax.jit(functools.partial(zeros.init, train=False))
  params = trees.flatten(init(jax.random.key(0), IMAGES)["params"])
  assert {
    path.removesuffix("/kernel")
    for path, leaf in params.items()
    if path.endswith("kernel") and leaf.any()
  } == {"conv1_0", "fc"}


@pytest.mark.parametrize(
  "options, message",
  [
    ({"stem": "smal"}, r"unknown stem 'smal'.*'small'"),
    ({"layout": "torch"}, r"unknown layout 'torch'.*'torchvision'"),
    ({"features": (24, 48)}, "24 features cannot follow 24.*above 24"),
    ({"features": (32, 41)}, "41 features cannot follow 32.*even"),
  ],
)
def test_wrong_options_are_errors(options, message):
  with pytest.raises(ValueError, match=message):
    variable_shapes(_create(**options), image_shape=(8, 8, 1))
