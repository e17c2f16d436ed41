"""The task of captioning: images -> texts.

A model of the zoo encodes the image, and a Transformer decoder with
cross-attention predicts the words. Tschannen et al. 2023, Image Captioners Are
Scalable Vision Learners Too: `masked_share` 0 is their Cap, 0.75 their CapPa,
where all words of this share of the examples are predicted in parallel.

Batches are {image (b, h, w, c) uint8, label (b,) int32, mask (b,) float32,
caption (b, captions, length) int32, caption/text (b, size) uint8}. The loss is
the mean over all words that are not padding, over the whole batch.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, models
from jaxvision.lookup import ranges
from jaxvision.tasks.captioning import (
  beam_search,
  caption_arrays,
  captioner,
  encoder,
  loss,
  measures,
  pages,
  vocabularies,
)
from jaxvision.tasks.captioning.captioner import Captioner
from jaxvision.tasks.contract import Batch, Components, Evaluate, Task

Tree = Any


def make(
  components: Components,
  *,
  vocabulary: str = "words",
  minimum_count: ranges.Count = 1,
  maximum_words: ranges.Count = 10_000,
  length: ranges.AtLeastTwo = 20,
  captions: ranges.Count = 1,
  text_bytes: ranges.Count = 2048,
  layer: str = "",
  depth: ranges.Depth = 2,
  width: ranges.Count = 256,
  mlp_dim: ranges.Whole = 0,
  num_heads: ranges.Count = 4,
  dropout: ranges.Rate = 0.1,
  attention_bias: bool = True,
  decoder_bias: bool = True,
  adapt: bool = False,
  masked_share: ranges.Probability = 0.0,
  beam: ranges.Count = 1,
  length_penalty: ranges.NonNegative = 0.0,
) -> Task:
  """Returns the task of captioning.

  Args:
    components: of the run. Its model is the encoder.
    vocabulary: "words" makes a vocabulary of the training captions; else the
      path of a SentencePiece file.
    minimum_count: smallest number of occurrences of a word of the vocabulary.
    maximum_words: largest number of words of the vocabulary.
    length: number of words of a caption, with its end; longer ones are cut. A
      caption has at least one word and its end.
    captions: number of captions of an image that the loss uses. Each step draws
      one of those that the image has.
    text_bytes: size of all captions of an image in UTF-8, at most.
    layer: of the encoder, see `encoder.make`.
    depth, width, num_heads, dropout, adapt: see `models.caption_decoder`.
    mlp_dim: width of the hidden layers; 0 is four times the width.
    attention_bias: whether the projections of the attentions have biases.
    decoder_bias: whether the normalisations and MLPs of the decoder have them.
    masked_share: probability that an example is predicted in parallel.
    beam: number of hypotheses of the generation; 1 is greedy.
    length_penalty: see `beam_search`; a larger one prefers longer captions.

  Raises:
    ValueError: the data have no captions, an image has none, the run has no
      vocabulary, or a name is unknown.
    FileNotFoundError: the vocabulary file does not exist.
  """
  words = _make_vocabulary(
    components,
    path=vocabulary,
    minimum=minimum_count,
    most=maximum_words,
    captions=captions,
    length=length,
    text_bytes=text_bytes,
  )
  of_images = encoder.make(
    components.model, image_shape=components.image_shape, layer=layer
  )
  decoder = models.caption_decoder.CaptionDecoder(
    num_words=words.size,
    memory_width=of_images.width,
    length=length,
    width=width,
    depth=depth,
    mlp_dim=mlp_dim or 4 * width,
    num_heads=num_heads,
    dropout=dropout,
    attention_bias=attention_bias,
    use_bias=decoder_bias,
    parallel=masked_share > 0,
    adapt=adapt,
    dtype=getattr(components.model, "dtype", "float32"),
  )
  search = beam_search.Settings(
    length=length,
    end=words.end,
    beam=beam,
    penalty=length_penalty,
    forbidden=(words.unknown,),
  )
  network = Captioner(of_images, decoder, search)
  return _task(
    components,
    network,
    words,
    captions=captions,
    text_bytes=text_bytes,
    masked_share=masked_share,
  )


def _make_vocabulary(
  components: Components,
  *,
  path: str,
  minimum: int,
  most: int,
  captions: int,
  length: int,
  text_bytes: int,
) -> vocabularies.Vocabulary:
  """The vocabulary of the run's folder; of a new run, a new one."""
  kept = vocabularies.from_files(components.kept)
  if kept is not None:
    return kept
  if components.train is None:
    raise ValueError(
      "the run has no vocabulary: its folder task/ is missing; resume the "
      "training, which writes it again, or restore it from a copy"
    )
  found = None if path == "words" else vocabularies.open_file(path)
  read = caption_arrays.read(components.train, size=text_bytes)
  if found is None:
    every = [caption for each in read for caption in each]
    found = vocabularies.make(every, minimum=minimum, most=most)
  caption_arrays.report(found, read, captions=captions, length=length)
  return found


def _task(
  components: Components,
  network: Captioner,
  words: vocabularies.Vocabulary,
  *,
  captions: int,
  text_bytes: int,
  masked_share: float,
) -> Task:
  """The record of the functions of the task."""
  length = network.decoder.length
  shape = components.image_shape
  inputs = _make_inputs(components)
  return Task(
    batch={
      "image": (shape, np.uint8),
      "label": ((), np.int32),
      "mask": ((), np.float32),
      "caption": ((captions, length), np.int32),
      "caption/text": ((text_bytes,), np.uint8),
    },
    init=functools.partial(network.init, image_shape=shape),
    inputs=inputs,
    loss=loss.make(components, network, inputs, masked_share),
    evaluate=_make_evaluate(components, network),
    merge=measures.merge,
    finish=functools.partial(measures.finish, words),
    logged=("loss", "word_accuracy"),
    measured=measures.NAMES,
    best={
      **dict.fromkeys(measures.TEXTS, 1),
      "loss": -1,
      "perplexity": -1,
    },
    learnt=("exact_match", 0.9),
    untrained=lambda: float(np.log(words.size)),
    answer=lambda outputs: outputs,
    rank=pages.rank,
    predictions=functools.partial(_predictions, words),
    artifacts=lambda evaluation, class_names, ids: pages.artifacts(
      words, network.encoder.grid, evaluation, ids
    ),
    encode={
      "caption": functools.partial(
        caption_arrays.encode, words, captions=captions, length=length
      ),
      "caption/text": functools.partial(
        caption_arrays.to_bytes, size=text_bytes
      ),
    },
    unlabelled=True,
    uses_labels=False,
    model_at=captioner.ENCODER,
    outputs=functools.partial(_outputs, network),
    score=functools.partial(_score, network, words),
    kept=words.files(),
  )


def _make_inputs(components: Components):
  """(batch, key) -> (the batch for evaluation, the batch for training).

  Both are {image (b, h, w, c) float32 normalised, mask (b,), caption (b,
  captions, length)}. Transforms that mix targets fail: there are none.
  """

  def inputs(batch: Batch, key: jax.Array) -> tuple[Batch, Batch]:
    transform_key, _ = jax.random.split(key)
    images = {
      "image": data.normalize(batch["image"], components.normalization),
      "mask": batch["mask"],
    }
    try:
      moved = components.device_transform(transform_key, images)
    except KeyError as error:
      raise ValueError(
        "data.device_transforms has a transform that mixes the targets of "
        f"images ({error}); captions cannot be mixed: leave it out"
      ) from error
    texts = {"caption": batch["caption"]}
    return {**images, **texts}, {**moved, **texts}

  return inputs


def _make_evaluate(components: Components, network: Captioner) -> Evaluate:
  """(variables, batch) -> (sums, outputs as of `_outputs`)."""

  def evaluate(variables: Tree, batch: Batch) -> tuple[Tree, jax.Array]:
    images = data.normalize(batch["image"], components.normalization)
    memory = network.memory(variables, images)
    sums = [
      loss.word_sums(
        components,
        network.logits(variables, memory, texts),
        texts,
        batch["mask"],
      )
      for texts in jnp.unstack(batch["caption"], axis=1)
    ]
    added = jax.tree.map(lambda *each: sum(each), *sums)
    outputs = _of_memory(network, variables, memory)
    rows = measures.rows(
      outputs[..., 0].astype(jnp.int32), batch["caption/text"], batch["mask"]
    )
    return {**added, **rows}, outputs

  return evaluate


def _outputs(network: Captioner, variables: Tree, images: jax.Array):
  """The generated captions of normalised images, see `_of_memory`."""
  return _of_memory(network, variables, network.memory(variables, images))


def _of_memory(
  network: Captioner, variables: Tree, memory: jax.Array
) -> jax.Array:
  """(b, length, 2 + m) float32 for each word of the generated captions.

  The columns are its identifier, its log probability and its attention to the m
  tokens of the image.
  """
  texts, _ = network.generate(variables, memory)
  log_p = captioner.word_log_p(network.logits(variables, memory, texts), texts)
  attention = network.attention(variables, memory, texts)
  columns = jnp.stack([texts.astype(jnp.float32), log_p], axis=-1)
  return jnp.concatenate([columns, attention], axis=-1)


def _score(
  network: Captioner,
  words: vocabularies.Vocabulary,
  variables: Tree,
  images: jax.Array,
  texts: Sequence[str],
) -> jax.Array:
  """The log probability of each text for each image, (b, k) float32."""
  encoded = caption_arrays.encode_labels(
    words, texts, length=network.decoder.length
  )
  memory = network.memory(variables, images)
  return network.log_p(variables, memory, jnp.asarray(encoded))


def _predictions(
  words: vocabularies.Vocabulary,
  answer: np.ndarray,
  class_names: Sequence[str],
  top: int,
) -> list[dict[str, Any]]:
  """The generated caption and its probability."""
  del class_names, top
  text = words.decode(answer[:, 0].astype(int).tolist())
  return [{"caption": text, "probability": float(np.exp(answer[:, 1].sum()))}]
