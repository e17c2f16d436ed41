"""docs/indexing.md: its forms do what torch documents, value by value.

The oracles are loops that follow the formulae in torch's documentation, such as
out[i][j] = input[index[i][j]][j] for gather with dim = 0.
"""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "indexing.md"
_TEXT = _PAGE.read_text("utf-8")
_AXES = pytest.mark.parametrize("axis", [0, 1])


def _form(torch):
  """The form in JAX of a row of the table."""
  (found,) = re.findall(rf"^\| `{re.escape(torch)}` \| `([^`]+)`", _TEXT, re.M)
  return found


@pytest.fixture
def arrays():
  """x (5, 4), index and values (3, 4), with equal indices."""
  rng = np.random.default_rng(0)
  index = rng.integers(0, 4, (3, 4))
  index[:, 0] = 1
  return {
    "x": jnp.asarray(rng.integers(-9, 9, (5, 4)), jnp.float32),
    "index": jnp.asarray(index),
    "values": jnp.asarray(rng.integers(-9, 9, (3, 4)), jnp.float32),
    "row": jnp.asarray([3, 0, 0]),
    "value": 7.0,
  }


@pytest.fixture
def run(arrays, capsys):
  """Evaluates a form of the page, jitted."""
  (program,) = re.findall(r"```python\n(.*?)```", _TEXT, re.DOTALL)
  scope: dict = {}
  exec(program, scope)

  def evaluate(form, axis, **more):
    def of(given):
      names = {**scope, "jax": jax, **given}
      names["places"] = scope["places"](given["index"], axis)
      return eval(form, names, {"axis": axis})

    return np.asarray(jax.jit(of)({**arrays, **more}))

  return evaluate


def _each(index, axis):
  """(place in the index, place in x) for all elements."""
  for i, j in np.ndindex(index.shape):
    k = int(index[i, j])
    yield (i, j), ((k, j) if axis == 0 else (i, k))


@_AXES
def test_gather(axis, arrays, run):
  index = arrays["index"]
  expected = np.zeros(index.shape)
  for place, source in _each(index, axis):
    expected[place] = arrays["x"][source]
  form = _form("x.gather(dim, index)")
  np.testing.assert_array_equal(run(form, axis), expected)
  assert "`jnp.take_along_axis(x, index, axis)`" in _TEXT
  x = arrays["x"] if axis == 0 else arrays["x"][:3]
  found = run("jnp.take_along_axis(x, index, axis)", axis, x=x)
  np.testing.assert_array_equal(found, expected)


@_AXES
def test_scatter_without_equal_indices(axis, arrays, run):
  rng = np.random.default_rng(1)
  shape = (5, 4)
  order = np.argsort(rng.random(shape), axis=axis)[:3]
  expected = np.array(arrays["x"])
  for place, target in _each(order, axis):
    expected[target] = arrays["values"][place]
  form = _form("x.scatter(dim, index, values)")
  found = run(form, axis, index=jnp.asarray(order))
  np.testing.assert_array_equal(found, expected)


@_AXES
@pytest.mark.parametrize(
  ("torch", "function"),
  [
    ("x.scatter_add(dim, index, values)", np.add),
    ('x.scatter_reduce(dim, index, values, "amax")', np.maximum),
  ],
)
def test_scatter_with_equal_indices(axis, torch, function, arrays, run):
  expected = np.array(arrays["x"])
  for place, target in _each(arrays["index"], axis):
    expected[target] = function(expected[target], arrays["values"][place])
  np.testing.assert_array_equal(run(_form(torch), axis), expected)


def test_rows(arrays, run):
  x, row = np.array(arrays["x"]), np.array(arrays["row"])
  found = run(_form("x.index_select(dim, row)"), 0)
  np.testing.assert_array_equal(found, x[row])
  np.testing.assert_array_equal(
    run(_form("x.index_select(dim, row)"), 1), x[:, row]
  )
  for place, values in zip(row, np.array(arrays["values"]), strict=True):
    x[place] += values
  found = run(_form("x.index_add(0, row, values)"), 0)
  np.testing.assert_array_equal(found, x)


def test_masks_and_one_hot(arrays, run):
  mask = np.array(arrays["x"]) > 0
  found = run(_form("x.masked_fill(mask, value)"), 0, mask=jnp.asarray(mask))
  np.testing.assert_array_equal(found, np.where(mask, 7, arrays["x"]))
  found = jax.nn.one_hot(arrays["row"], 4)
  np.testing.assert_array_equal(found, np.eye(4)[np.array(arrays["row"])])


def test_indices_out_of_bounds_are_as_stated():
  x = jnp.arange(3.0)
  np.testing.assert_array_equal(x.at[5].set(9.0), x)
  np.testing.assert_array_equal(x.at[5].add(9.0), x)
  assert x[jnp.asarray(5)] == 2.0
  assert jnp.isnan(jnp.take(x, 5))
  assert jnp.isnan(jnp.take_along_axis(x, jnp.asarray([5]), 0)).all()
  smallest = jnp.iinfo(jnp.int32).min
  assert jnp.take(jnp.arange(3), 5) == smallest
  assert x.at[5].get(mode="fill", fill_value=0) == 0
  assert x.at[5].get(mode="clip") == 2.0
  assert x[jnp.asarray(-1)] == 2.0


def test_gradients_are_as_stated(arrays):
  x, index = arrays["x"], arrays["index"]
  slope = jax.grad(lambda x: jnp.take_along_axis(x, index, 0).sum())(x)
  expected = np.zeros(x.shape)
  for _, source in _each(index, 0):
    expected[source] += 1
  np.testing.assert_array_equal(slope, expected)


def test_the_program_prints_what_its_comments_say(capsys):
  (program,) = re.findall(r"```python\n(.*?)```", _TEXT, re.DOTALL)
  exec(program, {})
  out = capsys.readouterr().out
  assert out.startswith("[2.  0.5]\n")
  assert "[[0 0 0]\n [0 1 0]\n [1 0 0]]" in out
  assert "[[1. 2. 0.]\n [0. 0. 1.]\n [1. 0. 1.]]" in out
