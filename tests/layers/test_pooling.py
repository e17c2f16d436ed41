"""Pooling against loops over its windows."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import pooling


@pytest.mark.parametrize(
  ("h", "w", "size"), [(6, 4, 2), (7, 9, 6), (9, 5, 7), (1, 2, 3), (3, 3, 3)]
)
def test_adaptive_average_is_over_torchs_windows(h, w, size):
  x = np.random.default_rng(0).normal(size=(2, h, w, 3)).astype(np.float32)
  expected = np.zeros((2, size, size, 3))
  for i in range(size):
    rows = slice(int(np.floor(i * h / size)), int(np.ceil((i + 1) * h / size)))
    for j in range(size):
      columns = slice(
        int(np.floor(j * w / size)), int(np.ceil((j + 1) * w / size))
      )
      expected[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
  actual = pooling.adaptive_avg_pool(jnp.asarray(x), size)
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
