"""The ResNet of the hybrids: names, shapes and initial values."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from jaxvision.layers import hybrid_stem


class _Stem(nn.Module):
  units: tuple[int, ...]

  @nn.compact
  def __call__(self, images):
    return hybrid_stem.embed(images, units=self.units, dtype="float32")


def _images(size):
  return jax.random.normal(jax.random.key(0), (1, size, size, 3))


@pytest.mark.parametrize(
  "units, features, stride",
  [((), 64, 4), ((1,), 256, 4), ((3, 4, 9), 1024, 16), ((1,) * 4, 2048, 32)],
)
def test_map_has_the_stride_and_the_features_of_its_last_block(
  units, features, stride
):
  assert hybrid_stem.stride(units) == stride
  init = _Stem(units).init_with_output
  for size in (64, 50):  # SAME: a remainder gives one more position
    shape, _ = jax.eval_shape(init, jax.random.key(0), _images(size))
    side = -(-size // stride)
    assert shape.shape == (1, side, side, features)


def test_names_are_those_of_the_published_files():
  shapes = jax.eval_shape(_Stem((2, 1)).init, jax.random.key(0), _images(32))
  params = shapes["params"]
  assert set(params) == {"conv_root", "gn_root", "block1", "block2"}
  assert set(params["block1"]) == {"unit1", "unit2"}
  plain = {"conv1", "conv2", "conv3", "gn1", "gn2", "gn3"}
  assert set(params["block1"]["unit2"]) == plain
  for block in ("block1", "block2"):
    assert set(params[block]["unit1"]) == plain | {"conv_proj", "gn_proj"}


def test_units_start_as_the_identity():
  """The last scale starts at 0, and the input is not negative."""
  images = _images(32)
  init = jax.jit(_Stem((1,)).init_with_output)
  one, variables = init(jax.random.key(0), images)
  params = variables["params"]
  first = params["block1"]["unit1"]
  second = {
    "conv1": {"kernel": np.ones((1, 1, 256, 64), np.float32)},
    **{name: first[name] for name in ("conv2", "conv3", "gn1", "gn2", "gn3")},
  }
  blocks = {"block1": {"unit1": first, "unit2": second}}
  apply = jax.jit(functools.partial(_Stem((2,)).apply))
  two = apply({"params": {**params, **blocks}}, images)
  np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)
  assert np.std(one) > 0.1
