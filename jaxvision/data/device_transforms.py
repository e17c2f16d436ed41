"""Transforms of a batch inside the compiled step: (key, batch) -> batch.

The batch is `{image (b, h, w, c) float32 normalised, targets (b, k) float32,
mask (b,) float32}`; the shapes stay as they are. Every example has a key of
its own, made from its place in the global batch, so that the result does not
depend on how many devices share the batch.

After normalisation 0 is the mean colour of the data, not black. That is what
"zero" padding means here, as in papers that pad images whose mean has been
subtracted; the default "edge" repeats the border and suits any normalisation.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxvision import call_syntax

Batch = Mapping[str, jax.Array]
# (keys (b,), images (b, h, w, c)) -> images
ImageTransform = Callable[[jax.Array, jax.Array], jax.Array]

_PADDINGS = {"edge": "edge", "reflect": "reflect", "zero": "constant"}


def make_device_transform(
  calls: Sequence[str],
) -> Callable[[jax.Array, Batch], dict[str, jax.Array]]:
  """Makes a transform of batches from its text.

  Args:
    calls: such as ("random_crop(padding=4)", "random_flip"); may be empty.

  Raises:
    ValueError: an unknown transform, or arguments that it does not take.
  """
  transforms = [
    call_syntax.call(text, functions=TRANSFORMS, kind="device transform")
    for text in calls
  ]

  def transform(key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    images = batch["image"]
    for number, apply in enumerate(transforms):
      own = jax.random.fold_in(key, number)
      images = apply(jax.random.split(own, images.shape[0]), images)
    return {**batch, "image": images}

  return transform


def normalize(
  images: jax.Array, mean: Sequence[float], std: Sequence[float]
) -> jax.Array:
  """Maps pixels to (pixel / 255 - mean) / std.

  Args:
    images: (..., h, w, c) uint8.
    mean: one number, or one per channel, in units of [0, 1].
    std: likewise; positive.

  Returns:
    float32 of the same shape.

  Raises:
    ValueError: neither one number nor one per channel, or not positive.
  """
  channels = images.shape[-1]
  for name, values in (("data.mean", mean), ("data.std", std)):
    if len(values) not in (1, channels):
      raise ValueError(
        f"{name} is {tuple(values)} for images of {channels} channels; give "
        f"1 or {channels} numbers"
      )
  if min(std) <= 0:
    raise ValueError(f"data.std is {tuple(std)}; it must be positive")
  shape = (1,) * (images.ndim - 1) + (-1,)
  pixels = images.astype(jnp.float32) / 255
  shift = jnp.asarray(mean, jnp.float32).reshape(shape)
  return (pixels - shift) / jnp.asarray(std, jnp.float32).reshape(shape)


def random_crop(*, padding: int = 4, mode: str = "edge") -> ImageTransform:
  """Moves each image by up to `padding` pixels, uniformly (He et al. 2016).

  Args:
    padding: pixels added on each side before cropping to the old size.
    mode: what the added pixels are: "edge", "reflect" or "zero".
  """
  if not isinstance(padding, int) or padding < 1:
    raise ValueError(f"padding is {padding!r}; it must be a positive integer")
  if mode not in _PADDINGS:
    raise ValueError(f"mode is {mode!r}; it must be one of {list(_PADDINGS)}")

  def transform(keys: jax.Array, images: jax.Array) -> jax.Array:
    def crop(key: jax.Array, image: jax.Array) -> jax.Array:
      top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
      return jax.lax.dynamic_slice(image, (top, left, 0), images.shape[1:])

    margins = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, margins, mode=_PADDINGS[mode])
    return jax.vmap(crop)(keys, padded)

  return transform


def random_flip(*, p: float = 0.5) -> ImageTransform:
  """Left to right, each image with probability `p`."""
  if not 0 <= p <= 1:
    raise ValueError(f"p is {p}; a probability lies in [0, 1]")

  def transform(keys: jax.Array, images: jax.Array) -> jax.Array:
    flip = jax.vmap(lambda key: jax.random.bernoulli(key, p))(keys)
    return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)

  return transform


TRANSFORMS: dict[str, Callable[..., ImageTransform]] = {
  "random_crop": random_crop,
  "random_flip": random_flip,
}
