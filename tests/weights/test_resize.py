"""Positions, patches and channels of other sizes."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from jaxvision.weights import resize


def _table(rows, columns, *, before):
  rng = np.random.default_rng(0)
  return rng.normal(size=(1, before + rows * columns, 5)).astype(np.float32)


@pytest.mark.parametrize("new_grid", [(7, 7), (3, 8), (4, 4)])
def test_align_corners_is_scipys_zoom(new_grid):
  """As in the published code; the class token is not changed."""
  table = _table(4, 4, before=1)
  actual = resize.positions(table, grid=(4, 4), new_grid=new_grid)
  np.testing.assert_array_equal(actual[:, :1], table[:, :1])
  zoom = (new_grid[0] / 4, new_grid[1] / 4, 1)
  grid = table[0, 1:].reshape(4, 4, 5)
  expected = scipy.ndimage.zoom(grid, zoom, order=1)
  np.testing.assert_allclose(
    actual[0, 1:], expected.reshape(-1, 5), rtol=1e-5, atol=1e-6
  )


def test_bilinear_is_that_of_jax_without_antialiasing():
  table = _table(3, 5, before=0)
  actual = resize.positions(
    table, grid=(3, 5), new_grid=(6, 7), method="bilinear"
  )
  expected = jax.image.resize(
    table.reshape(3, 5, 5), (6, 7, 5), "bilinear", antialias=False
  )
  np.testing.assert_allclose(
    actual[0], expected.reshape(-1, 5), rtol=1e-5, atol=1e-5
  )


def test_nearest_repeats():
  along = resize.matrix(2, 4, method="nearest")
  np.testing.assert_array_equal(along.argmax(1), [0, 0, 1, 1])


def test_wrong_sizes_and_names_are_errors():
  with pytest.raises(ValueError, match="15 positions are too few for 4x4"):
    resize.positions(_table(3, 5, before=0), grid=(4, 4), new_grid=(5, 5))
  with pytest.raises(ValueError, match=r"did you mean .*bilinear"):
    resize.matrix(2, 4, method="bilinaer")


def test_resized_patches_have_the_token_of_the_patch():
  rng = np.random.default_rng(0)
  kernel = rng.normal(size=(4, 4, 3, 6)).astype(np.float32)
  patch = rng.normal(size=(4, 4, 3)).astype(np.float32)
  along = resize.matrix(4, 8, method="bilinear")
  larger = np.einsum("ij,kl,jlc->ikc", along, along, patch)
  new = resize.patches(kernel, new_size=8)
  np.testing.assert_allclose(
    np.einsum("ijc,ijcw->w", larger, new),
    np.einsum("ijc,ijcw->w", patch, kernel),
    rtol=1e-3,
    atol=1e-4,
  )


@pytest.mark.parametrize("new", [1, 3, 4, 6])
def test_equal_channels_give_equal_outputs(new):
  """Exactly, if the number of channels is a multiple of the old number."""
  kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 5))
  total = resize.channels(kernel, new=new).sum(axis=2)
  assert resize.channels(kernel, new=new).shape == (2, 2, new, 5)
  if new != 4:
    np.testing.assert_allclose(total, kernel.sum(axis=2), rtol=1e-5)
