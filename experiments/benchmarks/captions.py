"""Decoding 64 captions of 20 words in one call, against loops without a cache.

  python experiments/benchmarks/captions.py
  python experiments/benchmarks/captions.py --beam 4

The decoder is that of configs/captions_stamps.py with a vocabulary of 1,000
words, the images have 4 x 4 tokens. The end of a caption is not generated
before the last word, so all ways compute 64 x 20 words. They take turns, and
the medians and the median of the ratios of each turn are printed:

  cache        the search of `jaxvision.tasks.captioning`: one compiled program,
               keys and values are computed once; with a beam, b * k hypotheses
  no cache     a compiled program for each word computes the whole text again;
               the host chooses the word (greedy)

With a beam of 1 both give the same captions, which is checked.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import models
from jaxvision.tasks.captioning import beam_search
from jaxvision.xla import settings

IMAGES, LENGTH, WORDS, TOKENS, END = 64, 20, 1_000, 16, 1
DECODER = {
  "num_words": WORDS,
  "memory_width": 1280,
  "length": LENGTH,
  "width": 256,
  "depth": 2,
  "mlp_dim": 1024,
  "num_heads": 4,
  "adapt": True,
}
Generate = Callable[[], np.ndarray]


def make_ways(
  beam: int, *, images: int = IMAGES, **changes: int
) -> dict[str, Generate]:
  """Returns {way: () -> captions (images, length) int32}."""
  options = {**DECODER, **changes}
  decoder = models.caption_decoder.CaptionDecoder(**options)
  keys = jax.random.split(jax.random.key(0), 3)
  shape = (images, TOKENS, decoder.memory_width)
  memory = jax.random.normal(keys[0], shape)
  texts = jnp.zeros((images, decoder.length), jnp.int32)
  init = functools.partial(decoder.init, train=False)
  params = jax.jit(init)(keys[1], memory, texts)["params"]
  head = params["head"]
  head["kernel"] = jax.random.normal(keys[2], head["kernel"].shape)
  head["bias"] = head["bias"].at[END].set(-1e6)
  variables = {"params": params}
  return {
    "cache": functools.partial(_cached, decoder, variables, memory, beam),
    "no cache": _make_naive(decoder, variables, memory),
  }


@functools.partial(jax.jit, static_argnums=(0, 3))
def _compiled(decoder, variables, memory, beam):
  stored = decoder.apply(variables, memory, method="store")

  def step(cache, words, position):
    return decoder.apply(
      variables, stored, cache, words, position, method="step"
    )

  found = beam_search.Settings(length=decoder.length, end=END, beam=beam)
  cache = decoder.empty_cache(len(memory) * beam)
  return beam_search.search(step, cache, images=len(memory), settings=found)[0]


def _cached(decoder, variables, memory, beam) -> np.ndarray:
  return np.asarray(_compiled(decoder, variables, memory, beam))


def _make_naive(decoder, variables, memory) -> Generate:
  @jax.jit
  def logits(texts, position):
    every = decoder.apply(variables, memory, texts, train=False)
    found = jax.lax.dynamic_index_in_dim(every, position, 1, keepdims=False)
    return found.at[:, 0].set(-jnp.inf)

  def generate() -> np.ndarray:
    texts = np.zeros((len(memory), decoder.length), np.int32)
    for position in range(decoder.length - 1):
      texts[:, position] = np.asarray(logits(texts, position)).argmax(-1)
    texts[:, -1] = END
    return texts

  return generate


def measure(ways: dict[str, Generate], rounds: int) -> dict[str, list[float]]:
  """The seconds of each call; the ways take turns after a call to warm up."""
  for generate in ways.values():
    generate()
  found: dict[str, list[float]] = {name: [] for name in ways}
  for _ in range(rounds):
    for name, generate in ways.items():
      start = time.perf_counter()
      generate()
      found[name].append(time.perf_counter() - start)
  return found


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures and prints the times."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--beam", type=int, default=1)
  parser.add_argument("--rounds", type=int, default=15)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  ways = make_ways(options.beam)
  if options.beam == 1:
    captions = [generate() for generate in ways.values()]
    np.testing.assert_array_equal(*captions)
    print("both ways give the same captions")
  seconds = measure(ways, options.rounds)
  for name, each in seconds.items():
    low, high = min(each) * 1e3, max(each) * 1e3
    median = statistics.median(each) * 1e3
    print(f"{name:<9} {median:8.1f} ms ({low:.1f} to {high:.1f})")
  pairs = zip(seconds["no cache"], seconds["cache"], strict=True)
  ratio = statistics.median(slow / fast for slow, fast in pairs)
  print(f"median ratio of {options.rounds} turns: {ratio:.2f}")


if __name__ == "__main__":
  main()
