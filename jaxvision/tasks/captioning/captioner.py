"""The network of a captioner: an encoder of images and a decoder of words.

The variables are {collection: {"encoder": ..., "decoder": ...}}.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision import models
from jaxvision.optimizers import freezing
from jaxvision.tasks.captioning import beam_search
from jaxvision.tasks.captioning.encoder import Encoder
from jaxvision.tasks.contract import Components

Tree = Any
ENCODER, DECODER = "encoder", "decoder"


@dataclasses.dataclass(frozen=True)
class Captioner:
  """An encoder and a decoder.

  Attributes:
    encoder: of the images.
    decoder: of the words.
    search: the settings of the generation.
  """

  encoder: Encoder
  decoder: models.caption_decoder.CaptionDecoder
  search: beam_search.Settings

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Tree:
    """The variables of both."""
    keys = jax.random.split(key)
    images = jnp.zeros((1, *image_shape), jnp.float32)
    encoder = self.encoder.model.init(keys[0], images, train=False)
    memory, _ = self.encoder.tokens(encoder, images, train=False)
    texts = jnp.zeros((1, self.decoder.length), jnp.int32)
    decoder = self.decoder.init(keys[1], memory, texts, train=False)
    variables = {name: {ENCODER: tree} for name, tree in encoder.items()}
    variables["params"][DECODER] = decoder["params"]
    return variables

  def memory(self, variables: Tree, images: jax.Array) -> jax.Array:
    """The tokens of normalised images (b, h, w, c) in evaluation."""
    of_encoder = {
      name: tree[ENCODER] for name, tree in variables.items() if ENCODER in tree
    }
    return self.encoder.tokens(of_encoder, images, train=False)[0]

  def logits(
    self, variables: Tree, memory: jax.Array, texts: jax.Array
  ) -> jax.Array:
    """The logits of each word of texts (b, n), (b, n, v), in evaluation."""
    return self.decoder.apply(
      _of_decoder(variables), memory, texts, train=False
    )

  def generate(
    self, variables: Tree, memory: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The caption of each image, (b, length) int32, and its log p, (b,)."""
    of_decoder = _of_decoder(variables)
    stored = self.decoder.apply(of_decoder, memory, method="store")
    images = len(memory)

    def step(cache, words, position):
      return self.decoder.apply(
        of_decoder, stored, cache, words, position, method="step"
      )

    cache = self.decoder.empty_cache(images * self.search.beam)
    return beam_search.search(step, cache, images=images, settings=self.search)

  def attention(
    self, variables: Tree, memory: jax.Array, texts: jax.Array
  ) -> jax.Array:
    """The cross-attention of each word, (b, n, tokens of the image) float32.

    It is the mean over all blocks and heads.
    """
    _, sown = self.decoder.apply(
      _of_decoder(variables), memory, texts, train=False, mutable=["attention"]
    )
    weights = [
      block["cross_attention"]["weights"][0]
      for block in sown["attention"].values()
    ]
    return jnp.stack(weights).mean(axis=(0, 2))

  def log_p(
    self, variables: Tree, memory: jax.Array, texts: jax.Array
  ) -> jax.Array:
    """The log probability of each of k texts (k, n) for each image, (b, k).

    It is the sum over the words and the end, not divided by their number.
    """

    def of_text(text: jax.Array) -> jax.Array:
      copies = jnp.broadcast_to(text[None], (len(memory), len(text)))
      return word_log_p(self.logits(variables, memory, copies), copies).sum(-1)

    return jax.lax.map(of_text, texts).T


def word_log_p(logits: jax.Array, texts: jax.Array) -> jax.Array:
  """The log probability of each word, (b, n); 0 for padding.

  Args:
    logits: (b, n, v).
    texts: (b, n) int32.
  """
  every = jax.nn.log_softmax(logits.astype(jnp.float32))
  found = jnp.take_along_axis(every, texts[..., None], axis=-1)[..., 0]
  return jnp.where(texts != 0, found, 0.0)


def train_logits(
  captioner: Captioner,
  components: Components,
  params: Tree,
  model_state: Tree,
  images: jax.Array,
  texts: jax.Array,
  *,
  parallel: jax.Array | None,
  key: jax.Array,
) -> tuple[jax.Array, Tree]:
  """The logits of texts in training, and the changed state of the encoder.

  Frozen parts behave as in evaluation and have no gradients.

  Args:
    captioner: the network.
    components: of the task.
    params, model_state: of the network.
    images: (b, h, w, c) normalised.
    texts: (b, n) int32.
    parallel: (b,) bool, which texts are predicted in parallel, or None.
    key: of dropout.
  """
  keys = jax.random.split(key)
  is_frozen = freezing.frozen(params, components.learning_rate_rules)
  params = freezing.stop_gradients(params, is_frozen)
  of_encoder = {name: tree[ENCODER] for name, tree in model_state.items()}
  encoder = captioner.encoder
  with freezing.keep_statistics(encoder.model, is_frozen[ENCODER]):
    memory, changed = encoder.tokens(
      {"params": params[ENCODER], **of_encoder},
      images,
      train=True,
      mutable=list(of_encoder),
      rngs={"dropout": keys[0]},
    )
  with freezing.keep_statistics(captioner.decoder, is_frozen[DECODER]):
    logits = captioner.decoder.apply(
      {"params": params[DECODER]},
      memory,
      texts,
      train=True,
      parallel=parallel,
      rngs={"dropout": keys[1]},
    )
  return logits, {name: {ENCODER: tree} for name, tree in changed.items()}


def _of_decoder(variables: Tree) -> Tree:
  return {"params": variables["params"][DECODER]}
