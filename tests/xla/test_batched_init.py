"""Equal operations of a function are computed as one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.xla import batched_init


def _draws():
  key = jax.random.key(3)
  kernels = [
    jax.random.normal(jax.random.fold_in(key, i), (4, 5 + i % 2)) * (1 + i % 3)
    for i in range(7)
  ]
  unused = jax.random.normal(jax.random.fold_in(key, 99), (1000,))
  assert unused.shape == (1000,)
  bits = [jax.random.bits(jax.random.fold_in(key, i), (4,)) for i in range(3)]
  total = sum(k.sum() for k in kernels)
  return {"kernels": kernels, "bits": bits, "sum": total, "n": 3}


def test_values_are_those_of_the_function():
  """Random bits are equal; sums and products may be rounded differently."""
  actual = jax.jit(lambda: batched_init.evaluate(_draws))()
  expected = jax.jit(_draws)()
  jax.tree.map(np.testing.assert_array_equal, actual["bits"], expected["bits"])
  close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
  jax.tree.map(close, actual, expected)


def test_equal_operations_are_one():
  jaxpr = jax.make_jaxpr(lambda: batched_init.evaluate(_draws))()
  names = [equation.primitive.name for equation in jaxpr.eqns]
  assert names.count("random_fold_in") == 1  # of ten
  calls = [e.params.get("name") for e in jaxpr.eqns]
  assert calls.count("_normal") == 2  # one for each shape


def test_large_operations_stay_alone(monkeypatch):
  monkeypatch.setattr(batched_init, "_LARGE", 20)
  jaxpr = jax.make_jaxpr(lambda: batched_init.evaluate(_draws))()
  calls = [e.params.get("name") for e in jaxpr.eqns]
  assert calls.count("_normal") == 4  # of (4, 5) one, of (4, 6) three
  test_values_are_those_of_the_function()


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("resnet18", {"blocks": (1, 1)}),
    ("vit_ti16", {"depth": 2}),
    pytest.param("resnet18", {}, marks=[pytest.mark.slow]),
    pytest.param("vit_ti16", {}, marks=[pytest.mark.slow]),
  ],
)
def test_a_model_starts_as_without_grouping(name, options):
  model = models.create(name, num_classes=3, **options)

  def init():
    return model.init(jax.random.key(1), jnp.ones((1, 32, 32, 3)), train=False)

  grouped, plain = batched_init.jit(init)(), jax.jit(init)()
  assert trees.flatten(grouped).keys() == trees.flatten(plain).keys()
  close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
  jax.tree.map(close, grouped, plain)


def test_placed_as_asked():
  mesh = jax.make_mesh(
    (8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
  )
  sharding = jax.NamedSharding(mesh, jax.P())
  placed = batched_init.jit(_draws, out_shardings=sharding)()
  assert placed["kernels"][0].sharding == sharding
