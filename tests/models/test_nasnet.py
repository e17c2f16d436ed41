"""NASNet: its cells, the auxiliary head, the schedule of drop path."""

import functools
import random
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvision import data, genotypes, losses, models, tasks, trees
from jaxvision.layers import cells
from jaxvision.variables import variable_shapes

SMALL = {"repeats": 1, "features": 4, "stages": 2, "stem": "small"}

# Most of the time is compilation; this halves it.
_jit = functools.partial(
  jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def _create(name="nasnet_a_mobile", **options):
  return models.create(name, num_classes=3, **options)


def _shapes(model, *, size):
  return variable_shapes(model, image_shape=(size, size, 3))


def _draw(model, *, size=8):
  """Random variables, and two images."""
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    fan_in = max(1, np.prod(leaf.shape[:-1]))
    return (rng.normal(size=leaf.shape) / fan_in**0.5).astype(np.float32)

  variables = jax.tree.map_with_path(draw, _shapes(model, size=size))
  return variables, rng.normal(size=(2, size, size, 3)).astype(np.float32)


@functools.partial(_jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images, train=False)


def _train(model, variables, images, *, mutable=("batch_stats",)):
  rngs = {"dropout": jax.random.key(1)}
  return model.apply(
    variables, images, train=True, mutable=list(mutable), rngs=rngs
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "first", "repeats", "stem", "last"),
  [
    ("nasnet_a_mobile", 44, 4, [11, 22], 1056),
    pytest.param(
      *("nasnet_a_large", 168, 6, [42, 84], 4032), marks=[pytest.mark.slow]
    ),
    pytest.param(*("nasnet_a_cifar", 32, 6, [], 768), marks=[pytest.mark.slow]),
  ],
)
def test_widths_of_all_cells(name, first, repeats, stem, last):
  params = _shapes(_create(name), size=32)["params"]
  widths = {
    cell: leaves["conv_1x1_bn"]["scale"].size
    for cell, leaves in params.items()
    if "cell" in cell
  }
  expected = {f"cell_stem_{i}": width for i, width in enumerate(stem)}
  for i in range(3):
    cells_of_stage = range(i * repeats, (i + 1) * repeats)
    expected |= {f"cell_{j}": first * 2**i for j in cells_of_stage}
  expected |= {f"reduction_cell_{i}": first * 2 ** (i + 1) for i in (0, 1)}
  assert widths == expected
  assert params["last_linear"]["kernel"].shape == (last, 3)


@pytest.mark.slow
def test_the_size_of_the_images_changes_no_parameter():
  model = _create(repeats=1, features=8)
  trees_of_sizes = {str(_shapes(model, size=size)) for size in (3, 32, 75)}
  assert len(trees_of_sizes) == 1


@pytest.mark.slow
def test_skip_reduction_changes_logits_but_no_shapes():
  direct, skipping = (
    _create(**{**SMALL, "repeats": 2}, skip_reduction=skips)
    for skips in (False, True)
  )
  variables, images = _draw(direct)
  assert _shapes(skipping, size=8) == _shapes(direct, size=8)
  difference = _logits(direct, variables, images) - _logits(
    skipping, variables, images
  )
  assert np.abs(difference).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "channels", "side"),
  [("nasnet_a_mobile", 528, 4), ("nasnet_a_cifar", 384, 4)],
)
def test_auxiliary_head_at_the_native_size(name, channels, side):
  """Of maps of 14x14 and 16x16, pooled by 5x5 with stride 3."""
  model = _create(name, auxiliary=True)
  params = _shapes(model, size=models.spec(name).image_size)["params"]
  kernels = {
    layer: leaves["kernel"].shape
    for layer, leaves in params["auxiliary_head"].items()
    if "kernel" in leaves
  }
  assert kernels == {
    "proj_conv": (1, 1, channels, 128),
    "whole_conv": (side, side, 128, 768),
    "fc": (768, 3),
  }


@pytest.mark.slow
def test_auxiliary_logits_are_sown_in_training_where_they_are_asked_for():
  model = _create(**SMALL, auxiliary=True)
  variables, images = _draw(model, size=12)

  @_jit
  def auxiliary_logits():
    _, updated = _train(
      model, variables, images, mutable=("batch_stats", "auxiliary")
    )
    return updated["auxiliary"]["logits"]

  (auxiliary,) = auxiliary_logits()
  assert auxiliary.shape == (2, 3)
  assert auxiliary.dtype == jnp.float32
  assert np.abs(auxiliary[0] - auxiliary[1]).max() > 1e-3
  train = functools.partial(_train, model)
  _, updated = jax.eval_shape(train, variables, images)
  assert set(updated) == {"batch_stats"}


@pytest.mark.slow
def test_auxiliary_head_changes_nothing_in_evaluation():
  with_head, without = (_create(**SMALL, auxiliary=on) for on in (True, False))
  variables, images = _draw(with_head, size=12)
  logits = _logits(with_head, variables, images)
  rest = {
    collection: {k: v for k, v in tree.items() if k != "auxiliary_head"}
    for collection, tree in variables.items()
  }
  assert jax.tree.structure(rest) == jax.tree.structure(
    _shapes(without, size=12)
  )
  np.testing.assert_array_equal(_logits(without, rest, images), logits)


def _scales(model, *, step, batch=4000):
  """The scales that the first and the last cell are called with."""
  shapes = _shapes(model, size=4)
  variables = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  @jax.jit
  def scales(step):
    seen = []

    def observe(call, args, kwargs, context):
      of_cell = isinstance(context.module, cells.Cell)
      if of_cell and context.method_name == "__call__":
        seen.append(args[2])
      return call(*args, **kwargs)

    with nn.intercept_methods(observe):
      model.apply(
        {**variables, "progress": {"step": step}},
        jnp.zeros((batch, 4, 4, 3)),
        train=True,
        mutable=["batch_stats", "progress"],
        rngs={"dropout": jax.random.key(0)},
      )
    return seen[0], seen[-1]

  return jax.tree.map(np.asarray, scales(jnp.float32(step)))


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  "step, progress", [(0, 0), (30, 0.5), (60, 1), (90, 1)]
)
def test_drop_path_grows_with_the_depth_and_with_the_step(step, progress):
  model = _create(**SMALL, drop_path=0.6, total_steps=60)
  for scales, depth in zip(_scales(model, step=step), (1, 3), strict=True):
    keep = 1 - progress * depth / 3 * 0.6
    assert scales.shape == (5, 2, 4000)
    np.testing.assert_allclose(scales.max(), 1 / keep, rtol=1e-6)
    error = (keep * (1 - keep) / scales.size) ** 0.5
    assert abs(np.mean(scales > 0) - keep) <= 4 * error


def test_without_a_number_of_steps_drop_path_is_full_from_the_start():
  first, last = _scales(_create(**SMALL, drop_path=0.6), step=0)
  np.testing.assert_allclose(first.max(), 1 / (1 - 0.2), rtol=1e-6)
  np.testing.assert_allclose(last.max(), 1 / (1 - 0.6), rtol=1e-6)


@pytest.mark.slow
def test_training_steps_are_counted_and_nothing_else():
  model = _create(**{**SMALL, "stages": 1}, drop_path=0.6)
  variables, images = _draw(model)
  variables["progress"] = {"step": np.float32(7)}

  _, updated = _train(
    model, variables, images, mutable=("batch_stats", "progress")
  )
  step = updated["progress"]["step"]
  assert (step.dtype, step.shape, float(step)) == (jnp.float32, (), 8)
  # A moving average of the counter has no effect: evaluation does not use it.
  logits = _logits(model, variables, images)
  variables["progress"] = {"step": np.float32(1e9)}
  np.testing.assert_array_equal(_logits(model, variables, images), logits)


def test_without_drop_path_there_is_no_counter():
  assert set(_shapes(_create(**SMALL), size=8)) == {"params", "batch_stats"}


def test_the_task_counts_its_steps_and_keeps_no_auxiliary_logits():
  model = _create(**SMALL, auxiliary=True, drop_path=0.6)
  variables, _ = _draw(model, size=12)
  params = variables.pop("params")
  batch = {
    "image": np.zeros((2, 12, 12, 3), np.uint8),
    "label": np.zeros(2, np.int32),
    "mask": np.ones(2, np.float32),
  }
  task_loss = tasks.create(
    "classification",
    tasks.Components(
      model,
      loss=losses.softmax,
      auxiliary_weight=0.4,
      penalty=lambda params: jnp.zeros(()),
      device_transform=lambda key, batch: batch,
      normalization=data.Normalization((0.5,), (0.5,)),
    ),
  ).loss

  @jax.jit
  def state(model_state):
    _, (model_state, _) = task_loss(
      params, model_state, batch, jax.random.key(0)
    )
    assert set(model_state) == {"batch_stats", "progress"}
    return model_state["progress"]

  variables["progress"] = {"step": np.float32(0)}
  assert float(state(variables)["step"]) == 1


@pytest.mark.slow
def test_kernels_start_with_the_variance_of_their_outputs():
  model = _create(stages=1, repeats=1, features=48, stem="small")
  init = jax.jit(functools.partial(model.init, train=False))
  params = init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))["params"]
  kernels = {
    path: leaf
    for path, leaf in trees.flatten(params).items()
    if path.endswith("kernel")
  }
  assert len(kernels) > 20
  for path, kernel in kernels.items():
    outputs = kernel.shape[-1]
    if kernel.ndim == 4:
      outputs *= kernel.shape[0] ** 2
    if "depthwise" in path:  # Of one channel.
      outputs = kernel.shape[0] ** 2
    std = (2 / outputs) ** 0.5
    error = std / (2 * kernel.size) ** 0.5
    assert np.std(kernel) == pytest.approx(std, abs=4 * error), path


def test_initializers_are_those_of_the_layers():
  model = _create(
    **{**SMALL, "stages": 1},
    initializer="normal(3)",
    depthwise_initializer="zeros",
    dense_initializer="normal(0.01)",
  )
  init = jax.jit(functools.partial(model.init, train=False))
  params = init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))["params"]
  for path, leaf in trees.flatten(params).items():
    if path.endswith("kernel"):
      std = 0 if "depthwise" in path else 0.01 if "linear" in path else 3
      assert np.std(leaf) == pytest.approx(std, rel=0.5), path


@pytest.mark.parametrize(
  ("options", "size", "message"),
  [
    ({"stem": "smal"}, 8, "did you mean 'small'"),
    ({"border": "zero"}, 8, "did you mean 'zeros'"),
    ({"features": 6}, 8, "features 6 is not a multiple of 4"),
    ({}, 2, "image size 2 is less than the 3 pixels"),
    ({"auxiliary": True}, 32, "needs a map of 5x5, not 2x2; use larger images"),
  ],
)
def test_inconsistent_options_are_an_error(options, size, message):
  with pytest.raises(ValueError, match=message):
    _shapes(_create(repeats=1, **options), size=size)


def _program(model, *, size, train):
  """The traced program, with the names and shapes of its variables."""
  shapes = _shapes(model, size=size)
  images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
  if train:
    rngs = {"dropout": jax.random.key(0)}
    apply = functools.partial(
      model.apply, train=True, rngs=rngs, mutable=["batch_stats"]
    )
  else:
    apply = functools.partial(model.apply, train=False)
  program = str(jax.make_jaxpr(apply)(shapes, images))
  return str(shapes), re.sub("0x[0-9a-f]+", "", program)


def _cell_options(name):
  """The options of `nasnet_cell` that give one of NASNet-A's networks."""
  options = models.options(name)
  names = {"repeats": "cells", "features": "filters"}
  return {names.get(key, key): value for key, value in options.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "size"), [("nasnet_a_cifar", 32), ("nasnet_a_mobile", 75)]
)
def test_nasnet_a_is_a_genotype(name, size):
  """The same variables and the same program, so the same logits."""
  whole = {"drop_path": 0.0}
  of_paper = _create(name, **whole)
  of_text = _create("nasnet_cell", **_cell_options(name) | whole)
  assert of_text.genotype == genotypes.NASNET_A
  assert _program(of_text, size=size, train=False) == _program(
    of_paper, size=size, train=False
  )


@pytest.mark.slow
def test_the_logits_of_a_genotype_are_those_of_nasnet_a():
  for train in (False, True):
    of_paper = _create(**SMALL, dropout=0.0)
    of_text = _create(
      "nasnet_cell",
      **_cell_options("nasnet_a_mobile")
      | {
        "cells": 1,
        "filters": 4,
        "stages": 2,
        "stem": "small",
        "dropout": 0.0,
      },
    )
    variables, images = _draw(of_paper)
    both = [
      _jit(functools.partial(_train, each))(variables, images)
      if train
      else _logits(each, variables, images)
      for each in (of_paper, of_text)
    ]
    jax.tree.map(np.testing.assert_array_equal, *both)


# One block reads state 1 in two ways, and one cell has more blocks.
UNEVEN = "sep3x3(0)+id(1) max3x3(2)&conv1x1(0) id(1)+id(1) / avg3x3(0)+id(0)"


def test_cells_may_have_different_numbers_of_blocks():
  model = _create(
    "nasnet_cell", genotype=UNEVEN, cells=1, filters=4, stages=2, drop_path=0.5
  )
  variables, images = _draw(model)
  variables["progress"] = {"step": np.float32(0)}
  train = functools.partial(_train, model)
  logits, _ = _jit(train)(variables, images)
  assert np.isfinite(logits).all()
  kernels = variables["params"]["last_linear"]["kernel"]
  assert kernels.shape == (2 * 2 * 4, 3)  # states 3 and 4, of 8 features


def _equivalent_logits(text, other, variables, images):
  """Logits of the same parameters, by the names of the first genotype."""
  options = {"cells": 1, "filters": 4, "stages": 1}
  return [
    _logits(_create("nasnet_cell", genotype=each, **options), tree, images)
    for each, tree in ((text, variables), (other, _renamed(variables)))
  ]


def _renamed(variables):
  """Blocks 1 and 2 and the two sides of each block exchanged."""

  def rename(name):
    match = re.fullmatch(r"comb_iter_([01])_(left|right)(.*)", name)
    if not match:
      return name
    side = {"left": "right", "right": "left"}[match[2]]
    return f"comb_iter_{1 - int(match[1])}_{side}{match[3]}"

  def walk(tree):
    if not isinstance(tree, dict):
      return tree
    return {rename(key): walk(value) for key, value in tree.items()}

  return walk(variables)


def test_equivalent_genotypes_are_the_same_network():
  text = "sep3x3(0)+id(1) max3x3(1)+conv3x3(0) out(2) / id(0)+id(1)"
  text = text.replace("out(2)", "id(2)+id(3)")
  other = "conv3x3(0)+max3x3(1) id(1)+sep3x3(0) id(2)+id(3) / id(1)+id(0)"
  identify = genotypes.create("nasnet").identify
  assert identify(text) == identify(other)
  options = {"cells": 1, "filters": 4, "stages": 1}
  variables, images = _draw(_create("nasnet_cell", genotype=text, **options))
  logits = _equivalent_logits(text, other, variables, images)
  np.testing.assert_allclose(*logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_random_genotypes_are_networks():
  """Of both spaces: any sequence of decisions gives finite logits."""
  rng = random.Random(0)
  for name in ("nasnet(blocks=2)", "nasnet(blocks=4)", "enas"):
    space = genotypes.create(name)
    for _ in range(4):
      text = space.write(
        {key: rng.choice(labels) for key, labels in space.decisions.items()}
      )
      model = _create(
        "nasnet_cell", genotype=text, cells=1, filters=4, stages=2
      )
      shapes = _shapes(model, size=9)
      apply = functools.partial(model.apply, train=False)
      images = jax.ShapeDtypeStruct((2, 9, 9, 3), jnp.float32)
      assert jax.eval_shape(apply, shapes, images).shape == (2, 3)


def test_a_text_that_is_no_genotype_is_refused_at_once():
  with pytest.raises(ValueError, match=r"nasnet_cell.*genotype.*block 1"):
    _create("nasnet_cell", genotype="id(0)-id(1) / id(0)+id(1)")
  with pytest.raises(ValueError, match="filters 6 is not a multiple of 4"):
    _shapes(_create("nasnet_cell", filters=6, stem="imagenet"), size=8)
