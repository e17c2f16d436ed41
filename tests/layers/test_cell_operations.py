"""Operations of cells, compared with slow ones in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_modules
from flax import linen as nn

from jaxvision import genotypes, layers
from jaxvision.layers import cell_operations

EPSILON = 1e-5


def _parts(**options):
  return cell_operations.Parts(
    conv=functools.partial(layers.Conv, use_bias=False),
    depthwise=layers.DepthwiseConv,
    norm=functools.partial(
      nn.BatchNorm, use_running_average=True, epsilon=EPSILON
    ),
    activation=nn.relu,
    **options,
  )


class _Alone(nn.Module):
  """One operation as a network."""

  operation: str
  features: int
  stride: int

  @nn.compact
  def __call__(self, x, *, train=False):
    return cell_operations.operate(
      x,
      self.operation,
      features=self.features,
      stride=self.stride,
      parts=_parts(),
      name="it",
    )


def _run(operation, *, features=8, stride=1, shape=(2, 7, 6, 8)):
  model = _Alone(operation, features, stride)
  x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  if jax.eval_shape(model.init, jax.random.key(0), x):
    variables = small_modules.random_variables(model, shape[1:])
  else:
    variables = {}
  return (
    np.asarray(jax.jit(model.apply)(variables, jnp.asarray(x))),
    variables,
    x,
  )


def _windows(x, kernel, strides, fill, dilation=1):
  """Yields (tap, the pixels below it), padded as TensorFlow does."""
  pads, sizes = [], []
  for n, k, s in zip(x.shape[1:3], kernel, strides, strict=True):
    size, window = -(-n // s), (k - 1) * dilation + 1
    total = max((size - 1) * s + window - n, 0)
    pads.append((total // 2, total - total // 2))
    sizes.append(size)
  x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
  for i in range(kernel[0]):
    for j in range(kernel[1]):
      rows, columns = (
        slice(tap * dilation, tap * dilation + (size - 1) * s + 1, s)
        for tap, size, s in zip((i, j), sizes, strides, strict=True)
      )
      yield (i, j), x[:, rows, columns]


def _convolve(x, kernel, strides=(1, 1), dilation=1):
  taps = _windows(x, kernel.shape[:2], strides, 0, dilation)
  return sum(pixels @ kernel[tap] for tap, pixels in taps)


def _normalise(x, name, variables):
  params, stats = (
    functools.reduce(lambda tree, key: tree[key], name.split("/"), tree)
    for tree in (variables["params"], variables["batch_stats"])
  )
  scale = params["scale"] / np.sqrt(stats["var"] + EPSILON)
  return (x - stats["mean"]) * scale + params["bias"]


def _kernel(name, variables):
  tree = variables["params"]
  for key in name.split("/"):
    tree = tree[key]
  return tree["kernel"]


def _step(x, name, variables, *, relu=True, **options):
  """Activation, convolution, normalisation."""
  x = np.maximum(x, 0) if relu else x
  y = _convolve(x, _kernel(f"{name}_conv", variables), **options)
  return _normalise(y, f"{name}_bn", variables)


def _close(actual, expected):
  assert actual.shape == expected.shape
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_the_names_are_those_of_genotypes():
  assert set(cell_operations.NAMES) == set(genotypes.blocks.OPERATIONS)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
  "operation", ["conv3x3", "dil3x3", "conv1x3_3x1", "conv1x7_7x1"]
)
def test_convolutions_are_between_two_1x1_convolutions(operation, stride):
  actual, variables, x = _run(operation, features=16, stride=stride)
  few = 6 if operation == "conv1x3_3x1" else 4
  x = _step(x, "it/pre", variables)
  assert x.shape[-1] == few
  if operation in ("conv3x3", "dil3x3"):
    dilation = 2 if operation == "dil3x3" else 1
    strides = (stride, stride)
    x = _step(x, "it/mid_1", variables, strides=strides, dilation=dilation)
  else:
    x = _step(x, "it/mid_1", variables, strides=(1, stride))
    x = _step(x, "it/mid_2", variables, strides=(stride, 1))
  _close(actual, _step(x, "it/post", variables))


@pytest.mark.parametrize(
  ("operation", "features"), [("conv3x3", 3), ("conv1x3_3x1", 2)]
)
def test_few_features_need_no_1x1_convolutions(operation, features):
  actual, variables, x = _run(operation, features=features)
  for i in range(1, 1 + len(cell_operations.CONVOLUTIONS[operation])):
    x = _step(x, f"it/mid_{i}", variables)
  _close(actual, x)


@pytest.mark.parametrize("operation", ["sep3x3", "sep5x5", "sep7x7"])
def test_separable_convolutions_are_applied_twice(operation):
  actual, variables, x = _run(operation, features=6, stride=2)
  for i, stride in ((1, 2), (2, 1)):
    x = np.maximum(x, 0)
    depthwise = _kernel(f"it/separable_{i}_depthwise_conv2d", variables)
    taps = _windows(x, depthwise.shape[:2], (stride, stride), 0)
    x = sum(pixels * depthwise[tap] for tap, pixels in taps)
    x = x @ _kernel(f"it/separable_{i}_pointwise_conv2d", variables)[0, 0]
    x = _normalise(x, f"it/bn_sep_{i}", variables)
  _close(actual, x)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("features", [8, 5])
@pytest.mark.parametrize("operation", ["avg3x3", "max3x3", "max5x5", "max7x7"])
def test_poolings_exclude_the_border(operation, features, stride):
  actual, variables, x = _run(operation, features=features, stride=stride)
  side = int(operation[-1])
  taps = _windows(x, (side, side), (stride, stride), np.nan)
  stack = np.stack([pixels for _, pixels in taps])
  reduce = np.nanmean if operation.startswith("avg") else np.nanmax
  x = reduce(stack, axis=0)
  if features != 8:
    x = _step(x, "it", variables, relu=False)
  _close(actual, x)


@pytest.mark.parametrize(
  ("operation", "features", "stride"),
  [("conv1x1", 8, 1), ("conv1x1", 8, 2), ("id", 5, 1), ("id", 8, 2)],
)
def test_1x1_convolutions_and_identities_of_other_shapes(
  operation, features, stride
):
  actual, variables, x = _run(operation, features=features, stride=stride)
  _close(actual, _step(x, "it", variables, strides=(stride, stride)))


def test_an_identity_of_the_same_shape_changes_nothing():
  actual, variables, x = _run("id")
  assert variables == {}
  np.testing.assert_array_equal(actual, x)


def test_an_unknown_operation_names_the_nearest():
  with pytest.raises(ValueError, match=r"'sep4x4'; did you mean 'sep"):
    _run("sep4x4")


@pytest.mark.parametrize("kind", ["max5x5", "max7x7"])
def test_zeros_at_the_border_are_those_of_the_padding_of_tensorflow(kind):
  x = -1 - np.abs(np.random.default_rng(0).normal(size=(1, 6, 7, 2)))
  actual = _parts(border="zeros").pool(jnp.asarray(x), kind=kind, stride=2)
  side = int(kind[-1])
  taps = _windows(x, (side, side), (2, 2), 0)
  np.testing.assert_allclose(
    actual, np.max([pixels for _, pixels in taps], axis=0), rtol=1e-6
  )
