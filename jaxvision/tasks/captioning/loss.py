"""The loss of captioning: the mean over the words of one caption per image."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.tasks.captioning import captioner
from jaxvision.tasks.captioning.captioner import Captioner
from jaxvision.tasks.contract import Batch, Components, TaskLoss

Tree = Any


def make(
  components: Components,
  network: Captioner,
  inputs: Callable[[Batch, jax.Array], tuple[Batch, Batch]],
  masked_share: float,
) -> TaskLoss:
  """The mean loss over the words of a batch, plus the penalty.

  With train.accumulate, the mean is over the words of each part.

  Args:
    components: of the task.
    network: the encoder and the decoder.
    inputs: of the task.
    masked_share: probability that an example is predicted in parallel.
  """

  def task_loss(params, model_state, batch, key):
    _, batch = inputs(batch, key)
    _, key = jax.random.split(key)
    caption_key, parallel_key, dropout_key = jax.random.split(key, 3)
    texts = draw_captions(caption_key, batch["caption"])
    parallel = None
    if masked_share:
      parallel = jax.random.bernoulli(
        parallel_key, masked_share, texts.shape[:1]
      )
    logits, model_state = captioner.train_logits(
      network,
      components,
      params,
      model_state,
      batch["image"],
      texts,
      parallel=parallel,
      key=dropout_key,
    )
    sums = word_sums(components, logits, texts, batch["mask"])
    mean = sums["loss"] / jnp.maximum(sums["count"], 1)
    del sums["nll"]
    return mean + components.penalty(params), (model_state, sums)

  return task_loss


def draw_captions(key: jax.Array, captions: jax.Array) -> jax.Array:
  """One of the captions of each image, (b, n) int32.

  Args:
    key: of the draw.
    captions: (b, k, n) int32; missing captions are zeros.
  """
  missing = jnp.where((captions != 0).any(axis=-1), 0.0, -jnp.inf)
  rows = jax.random.categorical(key, missing)
  return jnp.take_along_axis(captions, rows[:, None, None], axis=1)[:, 0]


def word_sums(
  components: Components, logits: jax.Array, texts: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
  """Sums over the words of texts (b, n) that are not padding.

  Args:
    components: of the task.
    logits: (b, n, v).
    texts: (b, n) int32.
    mask: (b,) float32.
  """
  counts = (texts != 0) & (mask > 0)[:, None]
  v = logits.shape[-1]
  flat = logits.reshape(-1, v).astype(jnp.float32)
  losses = components.loss(flat, jax.nn.one_hot(texts.reshape(-1), v))
  right = logits.argmax(axis=-1) == texts
  nll = -captioner.word_log_p(logits, texts)
  return {
    "loss": jnp.where(counts, losses.reshape(texts.shape), 0.0).sum(),
    "nll": jnp.where(counts, nll, 0.0).sum(),
    "word_accuracy": (counts & right).sum().astype(jnp.float32),
    "count": counts.sum().astype(jnp.float32),
  }
