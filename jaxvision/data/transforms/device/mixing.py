"""Mixtures of the examples of a batch and of their targets.

Common arguments:

  p: probability of mixing.
  per: "batch", one draw for all examples, or "example", one for each; the modes
    "batch" and "elem" of timm.
  partners: "mirror" pairs example i with example b - 1 - i, as in the released
    BiT and in timm; "permutation" is a random permutation, as in the code of
    the authors of mixup and CutMix. The order of a training batch is random, so
    both give random pairs; a permutation may pair an example with itself.
  groups: the batch is divided into this number of equal parts, and partners are
    from the same part. 1 is the complete batch, over all devices and processes,
    which then exchange images. If it is a multiple of the number of devices,
    partners are on the same device and nothing is exchanged.

The result depends on these arguments, not on the number of devices. An example
whose partner has mask 0 does not change. The sum of the targets is preserved.
"""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxvision.data.transforms.device import boxes
from jaxvision.lookup import ranges

Batch = Mapping[str, jax.Array]
BatchTransform = Callable[[jax.Array, Batch], Batch]
# (key, n, (h, w)) -> the weight of the own image at each pixel, (n, h, w, 1) or
# (n, 1, 1, 1), and the mean of these weights, (n,).
Draw = Callable[[jax.Array, int, tuple[int, int]], tuple[jax.Array, jax.Array]]

_PER = ("batch", "example")
_PARTNERS = ("mirror", "permutation")


def random_mixup(
  alpha: ranges.NonNegative,
  *,
  p: ranges.Probability = 1.0,
  per: str = "batch",
  partners: str = "mirror",
  groups: ranges.Count = 1,
) -> BatchTransform:
  """Blends images and their targets in pairs (Zhang et al. 2018).

  Args:
    alpha: the weight is drawn from Beta(alpha, alpha). A larger alpha gives
      more even blends; 0 disables mixup. The authors' code for CIFAR-10 uses 1,
      the Bag of Tricks for ImageNet 0.2, and BiT 0.1.
    p, per, partners, groups: see above.
  """
  if alpha == 0:
    return lambda key, batch: batch
  return _mixing(_shares(alpha), p=p, per=per, partners=partners, groups=groups)


def random_cutmix(
  alpha: ranges.Positive = 1.0,
  *,
  p: ranges.Probability = 1.0,
  per: str = "batch",
  partners: str = "mirror",
  groups: ranges.Count = 1,
) -> BatchTransform:
  """Pastes a box of the partner into each image (Yun et al. 2019).

  The box has the proportions of the image and the fraction 1 - lambda of its
  area, with lambda from Beta(alpha, alpha). Its centre is any pixel. The box is
  clipped at the border, and the targets are weighted by the remaining area.

  Args:
    alpha: of the distribution. The paper uses 1, with p = 0.5 for CIFAR and p =
      1 for ImageNet.
    p, per, partners, groups: see above.
  """
  return _mixing(_pasted(alpha), p=p, per=per, partners=partners, groups=groups)


def random_mixup_or_cutmix(
  mixup_alpha: ranges.Positive = 0.8,
  cutmix_alpha: ranges.Positive = 1.0,
  *,
  p: ranges.Probability = 1.0,
  switch_prob: ranges.Probability = 0.5,
  per: str = "batch",
  partners: str = "mirror",
  groups: ranges.Count = 1,
) -> BatchTransform:
  """Applies mixup or CutMix, as DeiT (Touvron et al. 2021, table 9) and timm.

  Args:
    mixup_alpha, cutmix_alpha: of `random_mixup` and `random_cutmix`.
    p, per, partners, groups: see above.
    switch_prob: probability of CutMix, given that examples are mixed.
  """
  blend, paste = _shares(mixup_alpha), _pasted(cutmix_alpha)

  def draw(key, count, image_shape):
    keys = jax.random.split(key, 3)
    pastes = jax.random.bernoulli(keys[2], switch_prob, (count,))
    weights, shares = blend(keys[0], count, image_shape)
    box_weights, box_shares = paste(keys[1], count, image_shape)
    return (
      jnp.where(pastes.reshape(-1, 1, 1, 1), box_weights, weights),
      jnp.where(pastes, box_shares, shares),
    )

  return _mixing(draw, p=p, per=per, partners=partners, groups=groups)


def _shares(alpha: float) -> Draw:

  def draw(key, count, _):
    shares = _beta(key, alpha, count)
    return shares.reshape(-1, 1, 1, 1), shares

  return draw


def _pasted(alpha: float) -> Draw:

  def draw(key, count, image_shape):
    share_key, place_key = jax.random.split(key)
    sides = jnp.sqrt(1 - _beta(share_key, alpha, count))
    lengths = [jnp.int32(size * sides) for size in image_shape]
    box = boxes.centered(place_key, *lengths, image_shape=image_shape)
    inside = boxes.inside(box, image_shape=image_shape)
    shares = 1 - boxes.area(box) / math.prod(image_shape)
    return 1.0 - inside, shares

  return draw


def _beta(key: jax.Array, alpha: float, count: int) -> jax.Array:
  """(count,) samples of Beta(alpha, alpha), without jax.random.beta's loop.

  A loop until all samples are accepted would synchronize all devices. Instead,
  Beta(a + 1, a + 1) is (1 + sqrt(1 - U^(1 / (a + 1/2))) cos(2 pi V)) / 2
  (Ulrich 1984; Devroye 1986, IX.3). Since Gamma(a) is Gamma(a + 1) U^(1 / a),
  the odds of Beta(a, a) are the odds of Beta(a + 1, a + 1) times the (1 / a)-th
  power of a ratio of two uniform numbers. The logarithm of this ratio has a
  Laplace distribution.
  """
  radius_key, angle_key, odds_key = jax.random.split(key, 3)
  power = jax.random.uniform(radius_key, (count,)) ** (1 / (alpha + 0.5))
  angle = 2 * jnp.pi * jax.random.uniform(angle_key, (count,))
  offset = jnp.sqrt(1 - power) * jnp.cos(angle)
  logits = jnp.log1p(offset) - jnp.log1p(-offset)
  return jax.nn.sigmoid(logits + jax.random.laplace(odds_key, (count,)) / alpha)


def _mixing(
  draw: Draw, *, p: float, per: str, partners: str, groups: int
) -> BatchTransform:
  """Makes the transform that mixes each pixel by the drawn weights."""
  for name, value, known in (
    ("per", per, _PER),
    ("partners", partners, _PARTNERS),
  ):
    if value not in known:
      raise ValueError(f"{name} is {value!r}; it must be one of {known}")

  def transform(key: jax.Array, batch: Batch) -> Batch:
    draw_key, p_key, partner_key = jax.random.split(key, 3)
    size, *image_shape, _ = batch["image"].shape
    count = size if per == "example" else 1
    other = _partner_of(partner_key, size, partners, groups)
    weights, shares = draw(draw_key, count, tuple(image_shape))
    mixes = jax.random.bernoulli(p_key, p, (count,))
    mixes = jnp.logical_and(mixes, other(batch["mask"]) > 0)
    kept = {"image": weights, "targets": shares.reshape(-1, 1)}
    mixed = {
      name: _blend(batch[name], other(batch[name]), weight, mixes)
      for name, weight in kept.items()
    }
    return {**batch, **mixed}

  return transform


def _partner_of(
  key: jax.Array, size: int, partners: str, groups: int
) -> Callable[[jax.Array], jax.Array]:
  """Makes a function from (b, ...) of examples to those of their partners."""
  if size % groups:
    raise ValueError(f"groups is {groups}; it must divide the batch of {size}")

  def other(x: jax.Array) -> jax.Array:
    parts = x.reshape(groups, size // groups, *x.shape[1:])
    if partners == "mirror":
      return parts[:, ::-1].reshape(x.shape)
    return jax.vmap(lambda part, order: part[order])(parts, orders).reshape(
      x.shape
    )

  if partners == "permutation":
    orders = jax.vmap(
      lambda each: jax.random.permutation(each, size // groups)
    )(jax.random.split(key, groups))
  return other


def _blend(
  a: jax.Array, b: jax.Array, weights: jax.Array, mixes: jax.Array
) -> jax.Array:
  """Returns weights * a + (1 - weights) * b where `mixes` (b,), else a."""
  # Not by a weight of 1, because masked examples may contain NaN.
  mixes = mixes.reshape(-1, *[1] * (a.ndim - 1))
  return jnp.where(mixes, weights * a + (1 - weights) * b, a)
