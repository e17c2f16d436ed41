"""Gradients by pixels: plain, times the input, smoothed, integrated.

The formulas take a function `gradient`: images (b, h, w, c) -> the gradient of
a score by its image, of the same shape. They return arrays of this shape and
work for each array (b, ...). Below them are the methods by name, whose maps are
reduced over channels: "max" is the maximum of the absolute values, "sum" the
sum, which keeps the sign.

Several gradients are computed one after another by one compiled function.
(Convolutions in a loop of XLA:CPU are slow.)
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.interpret import scores
from jaxvision.interpret.scores import Attribution
from jaxvision.lookup import ranges

Tree = Any
Gradient = Callable[[jax.Array], jax.Array]
Channels = Literal["max", "sum"]
Rule = Literal["right", "midpoint", "trapezoid"]
Form = Literal["mean", "squared", "variance"]
Baseline = Literal["zeros", "mean", "minimum"]


def times_input(gradient: Gradient, images: jax.Array) -> jax.Array:
  """Returns the gradient times the image.

  Shrikumar et al. 2016, Not Just a Black Box, section 2.
  """
  return images * gradient(images)


def path_points(steps: int, *, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
  """Returns points in [0, 1] of a rule of integration, and their weights.

  "right" is (1, ..., m) / m, as in Sundararajan et al. 2017. "midpoint" has
  the error of the next order with the same number of gradients, and
  "trapezoid" too, with one gradient more.
  """
  if rule == "trapezoid":
    weights = np.full(steps + 1, 1 / steps)
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps + 1), weights
  shift = 0.5 if rule == "midpoint" else 0.0
  return (np.arange(1, steps + 1) - shift) / steps, np.full(steps, 1 / steps)


def integrate(
  gradient: Gradient,
  images: jax.Array,
  *,
  baseline: jax.Array,
  steps: int,
  rule: Rule = "midpoint",
) -> jax.Array:
  """Returns integrated gradients, whose sum is score(images) - score(baseline).

  Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, equation 3:
  the difference to the baseline times the mean of the gradients on the straight
  path from it.

  Args:
    gradient: images -> the gradient.
    images: (b, ...).
    baseline: as the images.
    steps: number of intervals of the path; 20 to 300 in the paper.
    rule: see `path_points`.
  """
  total = jnp.zeros_like(images)
  points, weights = path_points(steps, rule=rule)
  for point, weight in zip(points, weights, strict=True):
    total += weight * gradient(baseline + point * (images - baseline))
  return (images - baseline) * total


def smooth(
  gradient: Gradient,
  images: jax.Array,
  key: jax.Array,
  *,
  samples: int,
  noise: float,
  form: Form = "mean",
) -> jax.Array:
  """Returns a statistic of the gradients of noisy images.

  All images have the same noise, up to its scale. So the result of an image
  does not depend on the others.

  Args:
    gradient: images -> the gradient.
    images: (b, ...).
    key: of the noise.
    samples: number of noisy images; 50 in Smilkov et al. 2017, SmoothGrad.
    noise: its standard deviation per difference of maximum and minimum of the
      image; 0.1 to 0.2 in the paper.
    form: "mean" (SmoothGrad), "squared" (the mean of the squares, Hooker et al.
      2019, A Benchmark for Interpretability Methods) or "variance" (VarGrad,
      Adebayo et al. 2018, Local Explanation Methods).
  """
  axes = tuple(range(1, images.ndim))
  span = images.max(axis=axes, keepdims=True) - images.min(
    axis=axes, keepdims=True
  )
  mean = variance = jnp.zeros_like(images)
  for i in range(samples):
    drawn = jax.random.normal(
      jax.random.fold_in(key, i), (1, *images.shape[1:])
    )
    found = gradient(images + noise * span * drawn)
    # Welford's update: the difference of two large squares would cancel.
    change = found - mean
    mean += change / (i + 1)
    variance += (change * (found - mean) - variance) / (i + 1)
  forms = {
    "mean": mean,
    "squared": variance + jnp.square(mean),
    "variance": variance,
  }
  return forms[form]


def reduced(attributions: jax.Array, channels: Channels) -> jax.Array:
  """Returns attributions (b, h, w, c) as maps (b, h, w) float32."""
  if channels == "max":
    attributions = jnp.abs(attributions).max(axis=-1)
  else:
    attributions = attributions.sum(axis=-1)
  return attributions.astype(jnp.float32)


def gradient(*, channels: Channels = "max") -> Attribution:
  """The gradient of the target's logit by the pixels.

  Simonyan et al. 2014, Deep Inside Convolutional Networks, section 3.1.
  """
  return _method(lambda gradient, images: gradient(images), channels)


def x_gradient(*, channels: Channels = "sum") -> Attribution:
  """The gradient times the normalised image; see `times_input`."""
  return _method(times_input, channels)


def smoothgrad(
  *,
  samples: ranges.Count = 50,
  noise: ranges.Positive = 0.15,
  form: Form = "mean",
  seed: ranges.Whole = 0,
  channels: Channels = "max",
) -> Attribution:
  """SmoothGrad and its forms; arguments as for `smooth`, and the seed."""

  def compute(gradient: Gradient, images: jax.Array) -> jax.Array:
    key = jax.random.key(seed)
    return smooth(
      gradient, images, key, samples=samples, noise=noise, form=form
    )

  return _method(compute, channels)


def integrated_gradients(
  *,
  steps: ranges.Count = 50,
  rule: Rule = "midpoint",
  baseline: Baseline = "zeros",
  channels: Channels = "sum",
) -> Attribution:
  """Integrated gradients.

  Args:
    steps: number of intervals of the path.
    rule: "right" (as in the paper), "midpoint" or "trapezoid".
    baseline: in normalised pixels: "zeros" (the mean colour of the data),
      "mean" (the mean colour of the image) or "minimum" (the smallest value of
      each channel of the image; black for most photos).
    channels: "sum" keeps the sign, so that maps add up to the difference of the
      logits.
  """

  def compute(gradient: Gradient, images: jax.Array) -> jax.Array:
    start = jnp.broadcast_to(BASELINES[baseline](images), images.shape)
    return integrate(gradient, images, baseline=start, steps=steps, rule=rule)

  return _method(compute, channels)


BASELINES = {
  "zeros": jnp.zeros_like,
  "mean": lambda images: images.mean(axis=(1, 2), keepdims=True),
  "minimum": lambda images: images.min(axis=(1, 2), keepdims=True),
}


def _method(
  compute: Callable[[Gradient, jax.Array], jax.Array], channels: Channels
) -> Attribution:
  """Returns the attribution of a formula."""

  def attribute(
    model: nn.Module, variables: Tree, images: jax.Array, targets: jax.Array
  ) -> jax.Array:
    of_targets = functools.partial(
      scores.gradients, model, variables, targets=targets
    )
    return reduced(compute(of_targets, images), channels)

  return attribute
