"""Cells: dropped operations, projections, unknown names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvision import layers, trees
from jaxvision.layers import cell_operations, cells, pooling

WIRING = cells.Wiring(
  pairs=(
    (("avg3x3", 0), ("id", 1)),
    (("sep3x3", 1), ("max3x3", 0)),
  ),
  outputs=(1, 2, 3),
)


def _cell(wiring=WIRING, **options):
  parts = cell_operations.Parts(
    conv=functools.partial(nn.Conv, use_bias=False),
    depthwise=layers.DepthwiseConv,
    norm=functools.partial(nn.BatchNorm, use_running_average=True),
    activation=nn.relu,
  )
  return cells.Cell(
    wiring, features=4, **{"shrink_previous": False, **options}, parts=parts
  )


def _inputs(*shape, seed=0):
  return jax.random.normal(jax.random.key(seed), shape)


def _shapes(cell, *inputs):
  variables = jax.eval_shape(cell.init, jax.random.key(0), *inputs)
  return {
    path: leaf.shape
    for path, leaf in trees.flatten(variables["params"]).items()
    if path.endswith("kernel")
  }


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_operations_are_dropped_one_by_one_and_more_at_the_end(rate):
  shape = (3, 5, 2, 2000)
  draw = jax.jit(functools.partial(cells.drop_scales, shape=shape))
  scales = np.asarray(draw(jax.random.key(0), rate=rate))
  assert scales.shape == shape
  for i in range(3):
    keep = 1 - rate * (i + 1) / 3
    kept = scales[i] > 0
    np.testing.assert_allclose(scales[i][kept], 1 / keep, rtol=1e-6)
    error = (keep * (1 - keep) / 2000) ** 0.5
    shares = kept.mean(axis=-1)  # Of each operation.
    assert np.abs(shares - keep).max() <= 4 * error
    apart = np.corrcoef(kept.reshape(10, -1)) if rate else np.eye(10)
    assert np.abs(apart - np.eye(10)).max() < 0.1


def test_scales_are_those_of_one_operation_of_one_example():
  cell, (x, previous) = _cell(), (_inputs(2, 6, 6, 4, seed=i) for i in (0, 1))
  run = jax.jit(cell.apply)
  variables = jax.jit(cell.init)(jax.random.key(0), x, previous)
  ones = np.ones((2, 2, 2), np.float32)
  plain = np.asarray(run(variables, x, previous))
  np.testing.assert_allclose(
    run(variables, x, previous, ones), plain, rtol=1e-5, atol=1e-6
  )

  dropped = ones.copy()
  dropped[0, 0, 1] = 0  # The first mean of the second example.
  dropped[1, :, 0] = 0  # Both operations of the second sum, of the first.
  actual = np.asarray(run(variables, x, previous, dropped))
  expected = plain.copy()
  expected[1, ..., 4:8] = previous[1]
  expected[0, ..., 8:] = 0
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_identities_are_never_scaled():
  cell, (x, previous) = _cell(), (_inputs(2, 6, 6, 4, seed=i) for i in (0, 1))
  variables = jax.jit(cell.init)(jax.random.key(0), x, previous)
  zeros = np.zeros((2, 2, 2), np.float32)
  outputs = np.asarray(jax.jit(cell.apply)(variables, x, previous, zeros))
  np.testing.assert_array_equal(outputs[..., :4], previous)
  np.testing.assert_array_equal(outputs[..., 4:8], previous)
  np.testing.assert_array_equal(outputs[..., 8:], 0)


def test_an_input_of_the_same_shape_is_read_as_it_is():
  kernels = _shapes(_cell(), _inputs(1, 6, 6, 7), _inputs(1, 6, 6, 4))
  assert set(kernels) == {
    "conv_1x1_conv/kernel",
    *(
      f"comb_iter_1_left/separable_{i}_{kind}_conv2d/kernel"
      for i in (1, 2)
      for kind in ("depthwise", "pointwise")
    ),
  }


def test_a_wider_input_is_projected_and_a_larger_one_in_two_halves():
  x = _inputs(1, 3, 3, 7)
  kernels = _shapes(_cell(), x, _inputs(1, 3, 3, 5))
  assert kernels["conv_prev_1x1_conv/kernel"] == (1, 1, 5, 4)
  kernels = _shapes(_cell(shrink_previous=True), x, _inputs(1, 5, 5, 5))
  assert kernels["path_1_conv/kernel"] == (1, 1, 5, 2)
  assert kernels["path_2_conv/kernel"] == (1, 1, 5, 2)
  assert "conv_prev_1x1_conv/kernel" not in kernels


def test_without_a_previous_cell_each_reader_projects_its_input():
  wiring = cells.Wiring(
    pairs=((("avg3x3", 1), ("id", 1)), (("sep3x3", 1), ("max3x3", 0))),
    outputs=(1, 2, 3),
  )
  kernels = _shapes(_cell(wiring), _inputs(1, 6, 6, 7), None)
  for name in ("comb_iter_0_left", "comb_iter_0_right", "path", "conv_1x1"):
    assert kernels.pop(f"{name}_conv/kernel") == (1, 1, 7, 4)
  separable = {path.split("/")[0] for path in kernels}
  assert separable == {"comb_iter_1_left"}


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("kind", ["avg3x3", "max3x3"])
def test_strided_pooling_pads_as_configured(kind, size):
  x = -1 - jnp.abs(_inputs(1, size, size, 2))
  results = {
    border: np.asarray(
      cell_operations.Parts(None, None, None, None, border).pool(
        x, kind=kind, stride=2
      )
    )
    for border in cell_operations.BORDERS
  }
  pool = {"avg3x3": pooling.avg_pool, "max3x3": pooling.max_pool}[kind]
  padded = jnp.pad(x, ((0, 0), (size % 2, 1), (size % 2, 1), (0, 0)))
  zeros = np.asarray(pool(padded, 3, stride=2))
  nothing = np.asarray(pool(x, 3, stride=2, padding="SAME"))
  np.testing.assert_array_equal(results["nothing"], nothing)
  np.testing.assert_array_equal(results["zeros"], zeros)
  means = zeros if kind == "avg3x3" else nothing
  np.testing.assert_array_equal(results["zeros_in_means"], means)
  assert (zeros >= nothing - 1e-6).all()
  assert (zeros[:, -1] > nothing[:, -1]).all()


def _run(wiring, *inputs, **options):
  """The output of a cell with random variables, and these variables."""
  cell = _cell(wiring, **options)
  variables = jax.jit(cell.init)(jax.random.key(0), *inputs)
  return np.asarray(jax.jit(cell.apply)(variables, *inputs)), variables


def test_concatenated_results_are_the_input_of_a_projection():
  wiring = cells.Wiring(
    pairs=((("avg3x3", 1), ("id", 1)), (("id", 2), ("id", 1))),
    outputs=(2, 3),
    concatenated=(0,),
  )
  x, previous = (_inputs(2, 6, 6, 4, seed=i) for i in (0, 1))
  output, variables = _run(wiring, x, previous)
  mean = pooling.avg_pool(previous, 3, stride=1, padding="SAME")
  state = np.concatenate([mean, previous], -1)

  def project(x, name):
    kernel = variables["params"][f"{name}_conv"]["kernel"][0, 0]
    return x @ kernel / np.sqrt(1 + 1e-5)  # the statistics of the start

  expected = (
    project(state, "output_2"),
    project(np.maximum(state, 0), "comb_iter_1_left") + previous,
  )
  np.testing.assert_allclose(
    output, np.concatenate(expected, -1), rtol=1e-4, atol=1e-5
  )


def test_inputs_that_are_outputs_have_the_size_of_the_output():
  wiring = cells.Wiring(
    pairs=((("max3x3", 0), ("id", 0)),), outputs=(0, 1, 2), stride=2
  )
  previous = _inputs(2, 5, 5, 4, seed=1)
  output, variables = _run(wiring, _inputs(2, 5, 5, 4), previous)
  assert output.shape == (2, 3, 3, 12)
  params = variables["params"]
  assert params["output_0_path_1_conv"]["kernel"].shape == (1, 1, 4, 2)
  first, second = (
    params[f"output_1_path_{i}_conv"]["kernel"][0, 0] for i in (1, 2)
  )
  shifted = np.zeros_like(previous)
  shifted[:, :-1, :-1] = previous[:, 1:, 1:]
  halves = [previous[:, ::2, ::2] @ first, shifted[:, ::2, ::2] @ second]
  np.testing.assert_allclose(
    output[..., 4:8],
    np.concatenate(halves, -1) / np.sqrt(1 + 1e-5),
    rtol=1e-4,
    atol=1e-5,
  )


def test_an_identity_of_stride_2_is_a_projection():
  wiring = cells.Wiring(pairs=((("id", 0), ("id", 1)),), outputs=(2,), stride=2)
  output, variables = _run(wiring, *(_inputs(2, 5, 5, 4) for _ in range(2)))
  assert output.shape == (2, 3, 3, 4)
  assert "comb_iter_0_right_conv" in variables["params"]
