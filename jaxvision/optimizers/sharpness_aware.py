"""Sharpness-aware minimisation (Foret et al. 2021) around an optimizer."""

from typing import Any

import optax
import optax.contrib


def sharpness_aware(
  optimizer: optax.GradientTransformation, radius: float, frozen: Any
) -> optax.GradientTransformationExtraArgs:
  """Steps with the gradient taken `radius` uphill; frozen stay where they are.

  Not `optax.contrib.normalize`, which divides a gradient of zero by zero.
  """
  uphill = optax.chain(
    optax.freeze(frozen),
    optax.normalize_by_update_norm(scale_factor=-radius, eps=1e-12),
  )
  return optax.contrib.sam(optimizer, uphill, opaque_mode=True)
