"""Weight standardisation: both rules, against a slow version."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import standardized

KERNEL = np.random.default_rng(0).normal(1, 3, (3, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("epsilon", [1e-10, 0.5])
@pytest.mark.parametrize("added_to", standardized.RULES)
def test_standardize_against_a_slow_version(added_to, epsilon):
  actual = standardized.standardize(
    jnp.asarray(KERNEL), epsilon=epsilon, added_to=added_to
  )
  for output in range(KERNEL.shape[-1]):
    weights = KERNEL[..., output].astype(np.float64)
    if added_to == "variance":
      size = np.sqrt(weights.var() + epsilon)
    else:
      size = weights.std() + epsilon
    expected = (weights - weights.mean()) / size
    np.testing.assert_allclose(actual[..., output], expected, atol=1e-5)


def test_unknown_rule_is_an_error():
  with pytest.raises(ValueError, match=r"'varience'.*'variance'"):
    standardized.standardize(
      jnp.asarray(KERNEL), epsilon=1e-5, added_to="varience"
    )


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_output_does_not_depend_on_the_scale_of_the_kernel(scale):
  conv = standardized.StandardizedConv(5, kernel_size=3, stride=2, padding=1)
  x = jax.random.normal(jax.random.key(0), (2, 7, 8, 4))

  def run(kernel):
    return conv.apply({"params": {"kernel": kernel}}, x)

  y = run(jnp.asarray(KERNEL))
  assert y.shape == (2, 4, 4, 5)
  np.testing.assert_allclose(y, run(scale * KERNEL + 1), rtol=1e-3, atol=1e-4)


def test_constant_kernel_gives_zero_not_nan():
  kernel = jnp.full((1, 1, 4, 2), 0.25)
  assert not standardized.standardize(kernel, epsilon=1e-10).any()
