"""Tests of the decoder of captions: parallel prediction, biases, its size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import trees
from jaxvision.models import caption_decoder

SMALL = {
  "num_words": 11,
  "memory_width": 6,
  "length": 4,
  "width": 8,
  "depth": 2,
  "mlp_dim": 16,
  "num_heads": 2,
}
# The decoder of the paper for a ViT-B/16, see configs/cappa_coco.py.
PAPER = {
  "num_words": 32_000,
  "memory_width": 768,
  "length": 64,
  "width": 768,
  "depth": 6,
  "mlp_dim": 3072,
  "num_heads": 12,
  "attention_bias": False,
  "use_bias": False,
  "parallel": True,
}


def _shapes(options):
  module = caption_decoder.CaptionDecoder(**options)
  memory = jax.ShapeDtypeStruct((1, 3, module.memory_width), jnp.float32)
  texts = jax.ShapeDtypeStruct((1, module.length), jnp.int32)

  def init(memory, texts):
    return module.init(jax.random.key(0), memory, texts, train=False)

  return module, jax.eval_shape(init, memory, texts)["params"]


@pytest.fixture(scope="module")
def drawn():
  """A decoder with random parameters, also in its classifier, and inputs."""
  module, shapes = _shapes({**SMALL, "parallel": True, "dropout": 0.5})
  keys = iter(jax.random.split(jax.random.key(0), 100))
  params = jax.tree.map(
    lambda leaf: 0.3 * jax.random.normal(next(keys), leaf.shape), shapes
  )
  memory = jax.random.normal(next(keys), (2, 3, 6))
  texts = jnp.asarray([[3, 4, 5, 1], [6, 7, 1, 0]])

  @jax.jit
  def logits(texts, parallel):
    return module.apply(
      {"params": params}, memory, texts, train=False, parallel=parallel
    )

  return logits, texts


def test_in_parallel_the_logits_depend_on_no_word_and_stay_per_example(drawn):
  logits, texts = drawn
  other = texts.at[:, :3].set(9)
  parallel = jnp.asarray([True, False])
  one, two = logits(texts, parallel), logits(other, parallel)
  np.testing.assert_array_equal(one[0], two[0])
  assert np.abs(one[1] - two[1]).max() > 1e-3
  causal = logits(texts, jnp.asarray([False, False]))
  np.testing.assert_array_equal(one[1], causal[1])
  # A mask token sees those behind it, so its logits are not the causal ones.
  assert np.abs(one[0] - causal[0]).max() > 1e-3


def test_the_first_input_is_padding_and_a_word_is_the_input_of_the_next(drawn):
  logits, texts = drawn
  causal = jnp.asarray([False, False])
  one = logits(texts, causal)
  two = logits(texts.at[:, 1].set(2), causal)
  np.testing.assert_array_equal(one[:, :2], two[:, :2])
  assert (np.abs(one - two)[:, 2:].max(axis=-1) > 1e-4).all()


def test_only_the_classifier_of_the_paper_has_a_bias():
  _, shapes = _shapes(PAPER)
  paths = trees.flatten(shapes)
  assert [each for each in paths if each.endswith("bias")] == ["head/bias"]


def test_the_decoder_of_the_paper_has_the_parameters_of_its_description():
  _, shapes = _shapes(PAPER)
  width, words = 768, 32_000
  attention, mlp, norms = 4 * width**2, 2 * width * 3072, 3 * width
  blocks = 6 * (2 * attention + mlp + norms)
  embedding = (words + 1 + 64) * width
  assert trees.count(shapes) == blocks + embedding + width + (width + 1) * words


def test_untrained_logits_are_zero():
  module, _ = _shapes(SMALL)
  memory, texts = jnp.ones((1, 3, 6)), jnp.ones((1, 4), jnp.int32)
  run = jax.jit(
    lambda key: module.init_with_output(key, memory, texts, train=False)[0]
  )
  assert not np.any(run(jax.random.key(0)))
