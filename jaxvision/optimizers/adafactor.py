"""Adafactor with momentum, as large Vision Transformers are trained.

Shazeer and Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory
Cost, with the changes of Zhai et al. 2022, Scaling Vision Transformers, section
3.4: momentum in half precision, a decay of the second moment that has an upper
bound, no multiplication by the scale of the parameters. The defaults are those
of the authors' code, big_vision.
"""

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxvision.lookup import ranges
from jaxvision.schedules import Schedule


def adafactor(
  learning_rate: Schedule,
  *,
  min_dim_size_to_factor: ranges.Count = 32,
  decay_rate: ranges.Positive = 0.8,
  decay_cap: ranges.Rate = 0.999,
  clipping_threshold: ranges.Positive | None = None,
  momentum: ranges.Rate | None = 0.9,
  dtype_momentum: DTypeLike = "bfloat16",
  eps: ranges.NonNegative = 1e-30,
  weight_decay: float = 0.0,
) -> optax.GradientTransformation:
  """Divides gradients by a factored estimate of their second moment.

  The weight decay is multiplied by the learning rate, as in adamw.

  Args:
    learning_rate: function of the step.
    min_dim_size_to_factor: a parameter whose two largest axes have at least
      this size keeps the means of its rows and columns only; other parameters
      keep a second moment per element.
    decay_rate: the second moment decays by 1 - t ** -decay_rate at step t, from
      1.
    decay_cap: upper bound of this decay.
    clipping_threshold: largest root mean square of the update of a parameter,
      before the momentum; None for no clipping.
    momentum: decay of the moving average of the updates, which is not corrected
      for its start; None for no momentum.
    dtype_momentum: type of this average.
    eps: added to squared gradients.
    weight_decay: per step.
  """

  def decay(step: jax.Array, exponent: float) -> jax.Array:
    return jnp.minimum(decay_cap, 1 - (step + 1.0) ** -exponent)

  steps = [
    optax.scale_by_factored_rms(
      decay_rate=decay_rate,
      min_dim_size_to_factor=min_dim_size_to_factor,
      epsilon=eps,
      decay_rate_fn=decay,
    )
  ]
  if clipping_threshold is not None:
    steps.append(optax.clip_by_block_rms(clipping_threshold))
  if momentum is not None:
    average = optax.ema(
      momentum, debias=False, accumulator_dtype=jnp.dtype(dtype_momentum)
    )
    steps.append(average)
  return optax.chain(
    *steps,
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_learning_rate(learning_rate),
  )
