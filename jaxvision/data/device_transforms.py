"""Transforms of a batch inside the compiled step: (key, batch) -> batch.

The batch is `{image (b, h, w, c) float32 normalised, targets (b, k) float32,
mask (b,) float32}`; the shapes stay as they are. What is drawn for an example
comes from its place in the global batch, so that the result does not depend on
how many devices share the batch.

After normalisation 0 is the mean colour of the data, not black. That is what
"zero" padding means here, as in papers that pad images whose mean has been
subtracted; the default "edge" repeats the border and suits any normalisation.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxvision import call_syntax

Batch = Mapping[str, jax.Array]
BatchTransform = Callable[[jax.Array, Batch], Batch]

_PADDINGS = {"edge": "edge", "reflect": "reflect", "zero": "constant"}


def make_device_transform(
  calls: Sequence[str],
) -> Callable[[jax.Array, Batch], dict[str, jax.Array]]:
  """Makes a transform of batches from its text.

  Args:
    calls: such as ("random_flip", "random_mixup(0.1)"); may be empty.

  Raises:
    ValueError: an unknown transform, or arguments that it does not take.
  """
  transforms = [
    call_syntax.call(text, functions=TRANSFORMS, kind="device transform")
    for text in calls
  ]

  def transform(key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    for number, apply in enumerate(transforms):
      batch = apply(jax.random.fold_in(key, number), batch)
    return dict(batch)

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


def random_crop(*, padding: int = 4, mode: str = "edge") -> BatchTransform:
  """Moves each image by up to `padding` pixels, uniformly (He et al. 2016).

  Args:
    padding: pixels added on each side before cropping to the old size.
    mode: what the added pixels are: "edge", "reflect" or "zero".
  """
  if not isinstance(padding, int) or padding < 1:
    raise ValueError(f"padding is {padding!r}; it must be a positive integer")
  if mode not in _PADDINGS:
    raise ValueError(f"mode is {mode!r}; it must be one of {list(_PADDINGS)}")

  def crop(key: jax.Array, image: jax.Array) -> jax.Array:
    margins = ((padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(image, margins, mode=_PADDINGS[mode])
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)

  return _for_each_image(crop)


def random_flip(*, p: float = 0.5) -> BatchTransform:
  """Left to right, each image with probability `p`."""
  if not 0 <= p <= 1:
    raise ValueError(f"p is {p}; a probability lies in [0, 1]")

  def flip(key: jax.Array, image: jax.Array) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, p), image[:, ::-1], image)

  return _for_each_image(flip)


def random_mixup(alpha: float) -> BatchTransform:
  """Blends images, and their targets alike, in pairs (Zhang et al. 2018).

  One share, drawn from Beta(alpha, alpha), for the whole batch; the partner of
  an example is its mirror image in the batch, as in the released BiT. What has
  no partner that counts stays as it is.

  Args:
    alpha: the larger, the more even the blend; 0 is off. The authors' code for
      CIFAR-10 has 1, that of the Bag of Tricks for ImageNet 0.2, BiT 0.1.
  """
  if alpha < 0:
    raise ValueError(f"alpha is {alpha}; it must be positive, or 0 for none")

  def transform(key: jax.Array, batch: Batch) -> Batch:
    share = jax.random.beta(key, alpha, alpha)
    shares = jnp.where(batch["mask"][::-1] > 0, share, 1.0)
    mixed = {
      name: _blend(batch[name], batch[name][::-1], shares)
      for name in ("image", "targets")
    }
    return {**batch, **mixed}

  return transform if alpha else lambda key, batch: batch


def _blend(a: jax.Array, b: jax.Array, shares: jax.Array) -> jax.Array:
  """Returns a times its share (b,) of each example, plus b times the rest."""
  shares = shares.reshape(-1, *[1] * (a.ndim - 1))
  return shares * a + (1 - shares) * b


def _for_each_image(
  apply: Callable[[jax.Array, jax.Array], jax.Array],
) -> BatchTransform:
  """Makes (key, image (h, w, c)) -> image one of batches, with a key each."""

  def transform(key: jax.Array, batch: Batch) -> Batch:
    keys = jax.random.split(key, batch["image"].shape[0])
    return {**batch, "image": jax.vmap(apply)(keys, batch["image"])}

  return transform


TRANSFORMS: dict[str, Callable[..., BatchTransform]] = {
  "random_crop": random_crop,
  "random_flip": random_flip,
  "random_mixup": random_mixup,
}
