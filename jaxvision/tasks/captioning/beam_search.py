"""Beam search for the most probable text, in one compiled program.

A hypothesis is a text that begins with the best words found so far. In each
step every hypothesis is continued by every word, and the best `beam` of the
results are kept. A hypothesis that ends stays in the beam and is not continued.
With a beam of 1 the search is greedy. With a beam as large as the number of
texts it is exhaustive.

The score of a text of n words with the end is log p / ((5 + n) / 6)^penalty
(Wu et al. 2016, Google's Neural Machine Translation System, equation 14,
without coverage).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any
# (cache, last words (b, k) int32, position) -> (logits (b, k, v), cache)
Step = Callable[[Tree, jax.Array, jax.Array], tuple[jax.Array, Tree]]

_PADDING = 0


@dataclasses.dataclass(frozen=True)
class Settings:
  """The settings of a search.

  Attributes:
    length: largest number of words, with the end; a longer text ends there.
      A text has at least one word.
    end: identifier of the end.
    beam: number of hypotheses.
    penalty: exponent of the length; 0 compares probabilities, a larger one
      prefers longer texts.
    forbidden: identifiers that are not generated; 0, padding, never is.
  """

  length: int
  end: int
  beam: int = 1
  penalty: float = 0.0
  forbidden: Sequence[int] = ()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Beam:
  """The hypotheses of each image, best first.

  Attributes:
    position: () int32, of the next word.
    texts: (b, k, length) int32, 0 after the end.
    log_p: (b, k) float32.
    ended: (b, k) bool.
    lengths: (b, k) int32, words with the end.
    cache: arrays (b * k, ...).
  """

  position: jax.Array
  texts: jax.Array
  log_p: jax.Array
  ended: jax.Array
  lengths: jax.Array
  cache: Tree


def search(
  step: Step, cache: Tree, *, images: int, settings: Settings
) -> tuple[jax.Array, jax.Array]:
  """The best text of each image; call this under jit.

  Args:
    step: the distribution of the next word.
    cache: before the first word, arrays (images * beam, ...).
    images: number of images, b.
    settings: of the search.

  Returns:
    Texts (b, length) int32, 0 after the end; and log p of each text, (b,).
  """
  start = _start(cache, images, settings)

  def goes_on(beam: _Beam) -> jax.Array:
    return (beam.position < settings.length) & ~beam.ended.all()

  found = jax.lax.while_loop(
    goes_on, lambda beam: _continue(step, beam, settings), start
  )
  return found.texts[:, 0], found.log_p[:, 0]


def _start(cache: Tree, images: int, settings: Settings) -> _Beam:
  """One empty hypothesis for each image; the others are impossible."""
  shape = (images, settings.beam)
  first = jnp.arange(settings.beam) == 0
  log_p = jnp.where(first, 0.0, -jnp.inf).astype(jnp.float32)
  return _Beam(
    position=jnp.zeros((), jnp.int32),
    texts=jnp.zeros((*shape, settings.length), jnp.int32),
    log_p=jnp.broadcast_to(log_p[None], shape),
    ended=jnp.zeros(shape, bool),
    lengths=jnp.zeros(shape, jnp.int32),
    cache=cache,
  )


def _continue(step: Step, beam: _Beam, settings: Settings) -> _Beam:
  """The best continuations of the hypotheses by one word."""
  b, k, _ = beam.texts.shape
  before = jnp.maximum(beam.position - 1, 0)
  last = jax.lax.dynamic_index_in_dim(
    beam.texts, before, axis=2, keepdims=False
  )
  logits, cache = step(beam.cache, last, beam.position)
  log_p = beam.log_p[..., None] + _log_probabilities(logits, beam, settings)
  lengths = beam.lengths + ~beam.ended
  v = log_p.shape[-1]
  scores = log_p / (((5 + lengths) / 6) ** settings.penalty)[..., None]
  _, places = jax.lax.top_k(scores.reshape(b, k * v), k)
  parents, words = places // v, (places % v).astype(jnp.int32)

  def chosen(x: jax.Array) -> jax.Array:
    index = parents.reshape(b, k, *[1] * (x.ndim - 2))
    return jnp.take_along_axis(x, index, axis=1)

  texts = jax.lax.dynamic_update_index_in_dim(
    chosen(beam.texts), words, beam.position, axis=2
  )
  return _Beam(
    position=beam.position + 1,
    texts=texts,
    log_p=jnp.take_along_axis(log_p.reshape(b, k * v), places, axis=1),
    ended=chosen(beam.ended) | (words == settings.end),
    lengths=chosen(lengths),
    cache=_reordered(cache, parents),
  )


def _log_probabilities(
  logits: jax.Array, beam: _Beam, settings: Settings
) -> jax.Array:
  """log p of each next word, (b, k, v).

  The first position does not allow the end, the last one nothing else. An ended
  text allows only padding.
  """
  words = jnp.arange(logits.shape[-1])
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
  allowed = words != _PADDING
  for each in settings.forbidden:
    allowed &= words != each
  allowed &= (words != settings.end) | (beam.position > 0)
  is_last = beam.position == settings.length - 1
  allowed = jnp.where(is_last, words == settings.end, allowed)
  log_p = jnp.where(allowed[None, None], log_p, -jnp.inf)
  padding = jnp.where(words == _PADDING, 0.0, -jnp.inf)
  return jnp.where(beam.ended[..., None], padding[None, None], log_p)


def _reordered(cache: Tree, parents: jax.Array) -> Tree:
  """The cache of the parent of each hypothesis; parents are (b, k)."""
  b, k = parents.shape
  if k == 1:
    return cache
  rows = (jnp.arange(b)[:, None] * k + parents).reshape(-1)
  return jax.tree.map(lambda x: x[rows], cache)
