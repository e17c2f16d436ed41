"""Initialisers: variance and shape of the distribution against the formulae."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import initializers

# Kernel shapes with their fans: of a Dense layer, a convolution, one in two
# groups, and a depthwise one.
SHAPES = {
  (300, 200): (300, 200),
  (3, 5, 64, 96): (3 * 5 * 64, 3 * 5 * 96),
  (3, 3, 48, 256): (9 * 48, 9 * 256),
  (7, 7, 1, 640): (49, 49 * 640),
}
# text -> (variance by the fans, largest absolute value in standard deviations).
CUT, WHOLE, UNIFORM = 2 / 0.87962566, None, 3**0.5
EXPECTED = {
  "glorot_normal": (lambda i, o: 2 / (i + o), CUT),
  "glorot_uniform": (lambda i, o: 2 / (i + o), UNIFORM),
  "he_normal": (lambda i, o: 2 / i, CUT),
  "he_normal_fan_out": (lambda i, o: 2 / o, WHOLE),
  "lecun_normal": (lambda i, o: 1 / i, CUT),
  "normal": (lambda i, o: 0.01**2, WHOLE),
  "normal(std=2)": (lambda i, o: 4, WHOLE),
  "torch_uniform": (lambda i, o: 1 / (3 * i), UNIFORM),
  "truncated_normal": (lambda i, o: 0.02**2, CUT),
  "truncated_normal(0.5)": (lambda i, o: 0.25, CUT),
  "uniform_fan_out": (lambda i, o: 1 / (3 * o), UNIFORM),
}


def _draw(text, shape):
  return np.asarray(initializers.create(text)(jax.random.key(0), shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", EXPECTED)
def test_variance_and_range(text, shape):
  variance, largest = EXPECTED[text]
  values, std = _draw(text, shape), variance(*SHAPES[shape]) ** 0.5
  n = values.size
  assert values.dtype == np.float32
  assert abs(values.mean()) < 4 * std / n**0.5
  # The standard error of a standard deviation is at most std / sqrt(2 n).
  assert values.std() == pytest.approx(std, rel=4 / (2 * n) ** 0.5)
  furthest = np.abs(values).max() / std
  if largest is None:
    assert furthest > 3.5
  else:
    assert 0.99 * largest < furthest < 1.0001 * largest


def test_normal_of_inputs_counts_channels_and_not_taps():
  for shape, std in (((3, 3, 50, 400), 1 / 50), ((3, 3, 1, 9000), 1.0)):
    values = _draw("normal_of_inputs", shape)
    assert values.std() == pytest.approx(std, rel=0.01)


def test_zeros():
  np.testing.assert_array_equal(_draw("zeros", (3, 4)), np.zeros((3, 4)))


def test_every_initializer_is_tested_here():
  named = {text.partition("(")[0] for text in EXPECTED}
  named |= {"normal_of_inputs", "zeros"}
  assert named == set(initializers.INITIALIZERS)


def test_draws_differ_by_key_and_have_the_dtype_asked_for():
  for text in set(EXPECTED) | {"normal_of_inputs"}:
    draw = initializers.create(text)
    one, two = (
      draw(key, (8, 8)) for key in jax.random.split(jax.random.key(1))
    )
    assert not np.array_equal(one, two)
    half = draw(jax.random.key(1), (8, 8), jnp.bfloat16)
    assert half.dtype == jnp.bfloat16


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("he_norml", "unknown initializer 'he_norml'; did you mean 'he_normal'"),
    ("normal(sdt=1)", "no option 'sdt'; did you mean 'std'.*std"),
    ("he_normal(2)", r"the signature is he_normal\("),
  ],
)
def test_an_unknown_initializer_is_an_error(text, message):
  with pytest.raises(ValueError, match=message):
    initializers.create(text)


# The same initialisers in jax.nn.initializers.
SAME_AS_JAX = {
  "glorot_normal": jax.nn.initializers.glorot_normal(),
  "glorot_uniform": jax.nn.initializers.glorot_uniform(),
  "he_normal": jax.nn.initializers.he_normal(),
  "he_normal_fan_out": jax.nn.initializers.variance_scaling(
    2, "fan_out", "normal"
  ),
  "lecun_normal": jax.nn.initializers.lecun_normal(),
  "normal": jax.nn.initializers.normal(0.01),
}


@pytest.mark.matrix(every=5)
@pytest.mark.parametrize("shape", [*SHAPES, (1, 1), (3, 7), (5, 2, 3, 4, 6)])
@pytest.mark.parametrize("text", SAME_AS_JAX)
def test_values_are_those_of_jax(text, shape):
  """Drawing a longer vector changes only the compilation time."""
  expected = SAME_AS_JAX[text](jax.random.key(0), shape)
  np.testing.assert_allclose(_draw(text, shape), expected, rtol=1e-6)


def test_sizes_in_a_range_share_one_generator():
  """Compiled programs are the same up to the last quarter of a power of two."""
  draw = initializers.create("lecun_normal")

  def sizes(shape):
    jaxpr = jax.make_jaxpr(lambda key: draw(key, shape))(jax.random.key(0))
    return [
      e.outvars[0].aval.size
      for e in jaxpr.eqns
      if e.primitive.name == "optimization_barrier"
    ]

  assert sizes((3, 3, 100, 101)) == sizes((5, 5, 128, 30)) == [98304]


def test_a_kernel_without_numbers_is_refused():
  for name in ("he_normal", "normal(0.1)", "uniform_fan_out"):
    with pytest.raises(ValueError, match=r"\(1, 1, 64, 0\) is empty"):
      initializers.create(name)(jax.random.key(0), (1, 1, 64, 0))
