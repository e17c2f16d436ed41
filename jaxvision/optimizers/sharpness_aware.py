"""Sharpness-aware minimisation (Foret et al. 2021) around an optimizer."""

from typing import Any

import optax
import optax.contrib


def sharpness_aware(
  optimizer: optax.GradientTransformation, radius: float, frozen: Any
) -> optax.GradientTransformationExtraArgs:
  """SAM: uses the gradient at the distance `radius` along the gradient.

  Frozen parameters are not moved. (`optax.contrib.normalize` would divide a
  zero gradient by zero.)
  """
  uphill = optax.chain(
    optax.freeze(frozen),
    optax.normalize_by_update_norm(scale_factor=-radius, eps=1e-12),
  )
  return optax.contrib.sam(optimizer, uphill, opaque_mode=True)
