"""Crops, flips and quarter turns of each image of a batch."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxvision.lookup import ranges

Batch = Mapping[str, jax.Array]
BatchTransform = Callable[[jax.Array, Batch], Batch]

_PADDINGS = {"edge": "edge", "reflect": "reflect", "zero": "constant"}


def random_crop(
  *, padding: ranges.Count = 4, mode: str = "edge"
) -> BatchTransform:
  """Shifts each image by up to `padding` pixels, uniformly (He et al. 2016).

  Args:
    padding: pixels added on each side before cropping to the original size.
    mode: the added pixels: "edge", "reflect" or "zero".
  """
  if mode not in _PADDINGS:
    raise ValueError(f"mode is {mode!r}; it must be one of {list(_PADDINGS)}")

  def crop(key: jax.Array, image: jax.Array) -> jax.Array:
    margins = ((padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(image, margins, mode=_PADDINGS[mode])
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)

  return _for_each_image(crop)


def random_flip(*, p: ranges.Probability = 0.5) -> BatchTransform:
  """Flips each image left to right with probability `p`."""

  def flip(key: jax.Array, image: jax.Array) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, p), image[:, ::-1], image)

  return _for_each_image(flip)


def random_quarter_turn(*, p: ranges.Probability = 0.5) -> BatchTransform:
  """Turns each square image by 0 to 3 quarters with probability `p`.

  As in the code of DAGAN's authors (Antoniou et al. 2017) for characters.
  """

  def turn(key: jax.Array, image: jax.Array) -> jax.Array:
    height, width, _ = image.shape
    if height != width:
      raise ValueError(
        f"random_quarter_turn needs square images, and these are "
        f"{height}x{width}; use a resize of equal sides"
      )
    turned_key, number_key = jax.random.split(key)
    number = jax.random.randint(number_key, (), 0, 4)
    number = jnp.where(jax.random.bernoulli(turned_key, p), number, 0)
    turns = jnp.stack([jnp.rot90(image, k) for k in range(4)])
    return turns[number]

  return _for_each_image(turn)


def _for_each_image(
  apply: Callable[[jax.Array, jax.Array], jax.Array],
) -> BatchTransform:
  """Applies (key, image (h, w, c)) -> image to a batch, with a key each."""

  def transform(key: jax.Array, batch: Batch) -> Batch:
    keys = jax.random.split(key, batch["image"].shape[0])
    return {**batch, "image": jax.vmap(apply)(keys, batch["image"])}

  return transform
