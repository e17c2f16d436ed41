"""NAS-Bench-201: published counts, and one program for all cells."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_modules

from jaxvision import models, summary, trees, variables
from jaxvision.genotypes import nasbench201
from jaxvision.models import nasbench201 as nasbench201_model
from jaxvision.sweeps.vectorized import jaxpr

# Records 0 and 284 of the published tables.
FIRST = (
  "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
  "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)
OTHER = (
  "|skip_connect~0|+|skip_connect~0|skip_connect~1|+"
  "|none~0|nor_conv_1x1~1|none~2|"
)
MIXED = (
  "|avg_pool_3x3~0|+|nor_conv_1x1~0|none~1|+"
  "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
PROXY = {"cells": 1, "channels": 4, "stages": 1}

# Most of the time is compilation; this halves it.
_jit = functools.partial(
  jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def _create(arch, *, classes=3, **options):
  return models.create("nasbench201", num_classes=classes, arch=arch, **options)


def _images():
  return jax.random.normal(jax.random.key(0), (4, 8, 8, 3))


def _draw(model):
  return small_modules.random_variables(model, (8, 8, 3))


def _train(model, tree, images):
  return model.apply(tree, images, train=True, mutable=["batch_stats"])


@pytest.mark.parametrize(
  ("arch", "size", "classes", "parameters", "millions"),
  [
    (FIRST, 32, 10, 129_306, 15.64737),
    pytest.param(
      *(FIRST, 32, 100, 135_156, 15.65322), marks=[pytest.mark.slow]
    ),
    pytest.param(*(FIRST, 16, 120, 136_456, 3.91948), marks=[pytest.mark.slow]),
    (OTHER, 32, 10, 101_306, 11.71521),
  ],
)
def test_counts_are_those_of_the_published_records(
  arch, size, classes, parameters, millions
):
  """Their multiply-accumulates include the biases of the classifier."""
  table = summary.layer_table(
    _create(arch, classes=classes), image_shape=(size, size, 3)
  )
  (total,) = summary.at_depth(table, 0)
  assert total.parameters == parameters
  assert (total.macs + classes) / 1e6 == pytest.approx(millions, abs=5e-6)


def _part(tree, like):
  """The arrays of a tree at the places of another one."""
  if not isinstance(like, dict):
    return tree
  return {key: _part(tree[key], like[key]) for key in like}


@pytest.fixture(scope="module")
def drawn():
  return _draw(_create(MIXED, **PROXY, operations="switched"))


@pytest.mark.parametrize("arch", [MIXED, FIRST])
def test_a_switched_network_is_the_static_one(arch, drawn):
  static = _create(arch, **PROXY)
  own = _part(drawn, variables.variable_shapes(static, image_shape=(8, 8, 3)))
  assert trees.count(own) < trees.count(drawn)
  switched = _create(arch, **PROXY, operations="switched")
  run = _jit(functools.partial(_train, switched))
  logits, state = run(drawn, _images())
  expected, expected_state = _jit(functools.partial(_train, static))(
    own, _images()
  )
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
  before = trees.flatten(drawn["batch_stats"])
  after = trees.flatten(state["batch_stats"])
  chosen = trees.flatten(expected_state["batch_stats"])
  assert set(chosen) < set(after)
  for path, values in after.items():
    if path in chosen:
      np.testing.assert_allclose(values, chosen[path], rtol=1e-5, atol=1e-6)
      assert np.abs(values - before[path]).max() > 1e-6, path
    else:  # an operation that was not chosen
      np.testing.assert_array_equal(values, before[path])


def test_only_the_chosen_operations_have_gradients(drawn):
  model = _create(MIXED, **PROXY, operations="switched")

  @_jit
  def gradient(params):
    def loss(params):
      logits, _ = _train(model, {**drawn, "params": params}, _images())
      return (logits**2).sum()

    return jax.grad(loss)(params)

  chosen = {
    f"edge_{before}_{node}/{name}"
    for node, operations in enumerate(nasbench201.parse(MIXED), 1)
    for before, name in enumerate(operations)
  }
  for path, leaf in trees.flatten(gradient(drawn["params"])).items():
    if "edge" in path:
      of_edge = "/".join(path.split("/")[1:3])
      assert (np.abs(leaf).max() > 0) == (of_edge in chosen), path


def _train_and_list(model, tree, images, key):
  """Logits in training, and the operations (cells, edges) that were used."""
  listed = []

  def note(call, args, kwargs, context):
    is_cell = isinstance(context.module, nasbench201_model.Cell)
    if is_cell and context.method_name == "__call__":
      listed.extend(operation for node in args[1] for operation in node)
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    logits, _ = model.apply(
      *(tree, images),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )
  return logits, jnp.stack(listed).reshape(-1, 6)


@pytest.mark.slow
def test_each_step_draws_one_cell_for_the_whole_network():
  options = {"cells": 2, "channels": 2, "stages": 2}
  model = _create(MIXED, **options, operations="drawn")
  tree, images = _draw(model), _images()
  keys = jax.random.split(jax.random.key(1), 200)
  run = jax.vmap(functools.partial(_train_and_list, model, tree, images))
  logits, listed = _jit(run)(keys)
  assert listed.shape == (200, 4, 6)
  np.testing.assert_array_equal(listed, np.repeat(listed[:, :1], 4, axis=1))
  # The shares of the operations on each edge; 4.5 standard errors are 0.13.
  for edge in np.moveaxis(np.asarray(listed[:, 0]), 1, 0):
    shares = np.bincount(edge, minlength=5) / len(edge)
    np.testing.assert_allclose(shares, 0.2, atol=0.13)
  names = [nasbench201.OPERATIONS[i] for i in listed[0, 0]]
  parts = [
    f"{name}~{i}" for name, i in zip(names, (0, 0, 1, 0, 1, 2), strict=True)
  ]
  arch = "|{}|+|{}|{}|+|{}|{}|{}|".format(*parts)
  same = _create(arch, **options, operations="switched")
  expected, _ = _jit(functools.partial(_train, same))(tree, images)
  np.testing.assert_allclose(logits[0], expected, rtol=1e-4, atol=1e-5)


def test_evaluation_of_a_drawn_network_uses_its_cell(drawn):
  networks = [
    _create(MIXED, **PROXY, operations=each) for each in ("drawn", "switched")
  ]
  shared, own = (
    _jit(functools.partial(each.apply, train=False))(drawn, _images())
    for each in networks
  )
  np.testing.assert_array_equal(shared, own)


def test_programs_of_two_cells_differ_in_numbers_only(drawn):
  """So one program, compiled once and batched, trains both."""
  archs = (MIXED, FIRST, OTHER)
  images = _images()
  models_ = [_create(arch, **PROXY, operations="switched") for arch in archs]
  programs = [
    jax.make_jaxpr(functools.partial(_train, model))(drawn, images)
    for model in models_
  ]
  lifted = jaxpr.lift(programs)
  assert lifted.numbers
  flat = jax.tree.leaves((drawn, images))
  together = _jit(jax.vmap(lifted.call, in_axes=(0, None)))(
    lifted.numbers, flat
  )
  for i, model in enumerate(models_):
    expected = jax.tree.leaves(
      _jit(functools.partial(_train, model))(drawn, images)
    )
    for actual, value in zip(together, expected, strict=True):
      np.testing.assert_allclose(actual[i], value, rtol=1e-4, atol=1e-5)


def test_programs_of_static_cells_differ_in_more_than_numbers():
  programs = [
    jax.make_jaxpr(functools.partial(_train, model))(_draw(model), _images())
    for model in (_create(arch, **PROXY) for arch in (MIXED, FIRST))
  ]
  with pytest.raises(jaxpr.Different):
    jaxpr.lift(programs)


def test_equivalent_cells_have_equal_logits():
  """Cells without parameters, whose hash is equal, are one function."""
  groups = {}
  for chosen in itertools.product(("skip_connect", "avg_pool_3x3"), repeat=6):
    nodes = (chosen[:1], chosen[1:3], chosen[3:])
    key = nasbench201.canonical(nodes, simplified="skips")
    groups.setdefault(key, []).append(nasbench201.write(nodes))
  group = max(groups.values(), key=len)
  assert len(group) > 1
  tree = _draw(_create(group[0], **PROXY))
  logits = [
    _jit(functools.partial(_create(arch, **PROXY).apply, train=False))(
      tree, _images()
    )
    for arch in group
  ]
  for each in logits[1:]:
    np.testing.assert_allclose(each, logits[0], rtol=1e-4, atol=1e-5)


def test_options_are_checked():
  with pytest.raises(ValueError, match=r"nasbench201.*arch.*has 1 nodes"):
    _create("|none~0|")
  with pytest.raises(ValueError, match=r"'swiched'.*'switched'"):
    _create(FIRST, operations="swiched")
  with pytest.raises(ValueError, match=r"channels.*at least 1"):
    _create(FIRST, channels=0)


@pytest.mark.parametrize("size", [14, 7])
def test_odd_sides_are_halved_upwards(size):
  model = _create(MIXED, cells=1, channels=4)
  shapes = variables.variable_shapes(model, image_shape=(size, size, 1))
  images = jax.ShapeDtypeStruct((2, size, size, 1), jnp.float32)
  apply = functools.partial(model.apply, train=False)
  assert jax.eval_shape(apply, shapes, images).shape == (2, 3)
