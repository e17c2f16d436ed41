"""Beam search against enumeration of all texts, and without a cache."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models
from jaxvision.tasks.captioning import beam_search

END, WORDS, LENGTH = 1, 4, 4


def _logits(images):
  """The logits of the next word, which depend on the image and the text."""
  size = (images, WORDS**LENGTH, WORDS)
  ends = 2.0 * (np.arange(WORDS) == END)
  return jax.random.normal(jax.random.key(0), size) - ends[None, None]


def _step_of(table):
  """A step whose cache is the number of each text, in base `WORDS`."""

  def step(cache, words, position):
    b, k = words.shape
    number = jnp.where(position > 0, cache * WORDS + words.reshape(-1), 0)
    rows = number.reshape(b, k)
    logits = jnp.take_along_axis(table, rows[..., None], axis=1)
    return logits, number

  return step


def _every(table, penalty):
  """The best text and its log p, by enumeration."""
  log_p = np.asarray(jax.nn.log_softmax(table))
  best = (-np.inf, None, None)
  for count in range(1, LENGTH):  # there are no empty texts
    for words in itertools.product(range(2, WORDS), repeat=count):
      total, number = 0.0, 0
      for word in (*words, END):
        total += log_p[number, word]
        number = number * WORDS + word
      score = total / ((5 + count + 1) / 6) ** penalty
      text = [*words, END] + [0] * (LENGTH - count - 1)
      best = max(best, (score, text, total), key=lambda each: each[0])
  return best[1:]


def _search(table, **settings):
  found = beam_search.Settings(length=LENGTH, end=END, **settings)
  images = len(table)
  cache = jnp.zeros(images * found.beam, jnp.int32)
  return jax.jit(
    lambda table: beam_search.search(
      _step_of(table), cache, images=images, settings=found
    )
  )(table)


@pytest.mark.matrix("1.0")
@pytest.mark.parametrize("penalty", [0.0, 1.0, 3.0])
def test_a_large_beam_finds_the_best_of_all_texts(penalty):
  table = _logits(6)
  texts, log_p = _search(table, beam=16, penalty=penalty)
  for row, (text, total) in enumerate(_every(each, penalty) for each in table):
    assert texts[row].tolist() == text
    assert log_p[row] == pytest.approx(total, rel=1e-5)


def test_a_larger_penalty_gives_longer_texts():
  table = _logits(6)
  short, long = (
    (_search(table, beam=16, penalty=penalty)[0] != 0).sum()
    for penalty in (0.0, 3.0)
  )
  assert short < long


def test_forbidden_words_are_not_generated():
  texts, _ = _search(_logits(6), beam=2, forbidden=(2,))
  assert not (texts == 2).any() and (texts == 3).any()


@pytest.fixture(scope="module")
def network():
  """A decoder with random parameters."""
  module = models.caption_decoder.CaptionDecoder(
    num_words=7,
    memory_width=6,
    length=6,
    width=8,
    depth=2,
    mlp_dim=16,
    num_heads=2,
  )
  keys = jax.random.split(jax.random.key(3), 3)
  memory = 3 * jax.random.normal(keys[0], (5, 3, 6))
  texts = jnp.zeros((5, 6), jnp.int32)
  init = jax.jit(lambda: module.init(keys[1], memory, texts, train=False))
  variables = {"params": init()["params"]}
  # Untrained, the classifier is zero.
  variables["params"]["head"]["kernel"] = jax.random.normal(keys[2], (8, 7))
  return module, variables, memory


def _generate(network, beam):
  module, variables, memory = network
  stored = module.apply(variables, memory, method="store")

  def step(cache, words, position):
    return module.apply(
      variables, stored, cache, words, position, method="step"
    )

  settings = beam_search.Settings(length=6, end=END, beam=beam)
  return jax.jit(
    lambda: beam_search.search(
      step, module.empty_cache(5 * beam), images=5, settings=settings
    )
  )()


def _naive(network):
  """Greedy search that computes the whole text for each word."""
  module, variables, memory = network
  logits = jax.jit(
    lambda texts: module.apply(variables, memory, texts, train=False)
  )
  texts, ended = np.zeros((5, 6), np.int32), np.zeros(5, bool)
  for position in range(6):
    found = np.array(logits(jnp.asarray(texts))[:, position])
    found[:, 0] = -np.inf
    if position == 0:
      found[:, END] = -np.inf
    words = found.argmax(-1) if position < 5 else np.full(5, END)
    texts[:, position] = np.where(ended, 0, words)
    ended |= words == END
  return texts


@pytest.mark.slow
def test_a_beam_of_one_is_the_greedy_loop_without_a_cache(network):
  texts, _ = _generate(network, beam=1)
  np.testing.assert_array_equal(texts, _naive(network))
  assert len({tuple(each) for each in texts.tolist()}) > 1


def test_the_log_probability_is_that_of_the_whole_text(network):
  """Also of texts whose caches have changed places in the beam."""
  module, variables, memory = network
  texts, log_p = _generate(network, beam=3)
  logits = module.apply(variables, memory, texts, train=False)
  each = jnp.take_along_axis(
    jax.nn.log_softmax(logits), texts[..., None], axis=-1
  )[..., 0]
  np.testing.assert_allclose(
    jnp.where(texts > 0, each, 0).sum(-1), log_p, rtol=1e-4
  )
