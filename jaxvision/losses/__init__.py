"""Losses, one value per example: of labels, and of teachers (`distillation`).

`losses.softmax` and the other losses of labels are in losses/supervised.py.
"""

from jaxvision.losses import distillation
from jaxvision.losses.supervised import (
  LOSSES,
  LOSSES_OF_LABELS,
  Loss,
  balanced_weights,
  check_labels,
  create,
  hinge,
  huber,
  penalty,
  sigmoid,
  sigmoid_focal,
  smooth,
  softmax,
  softmax_focal,
  square,
  squared_error,
  squared_hinge,
  untrained,
  weighted,
)

__all__ = [
  "LOSSES",
  "LOSSES_OF_LABELS",
  "Loss",
  "balanced_weights",
  "check_labels",
  "create",
  "distillation",
  "hinge",
  "huber",
  "penalty",
  "sigmoid",
  "sigmoid_focal",
  "smooth",
  "softmax",
  "softmax_focal",
  "square",
  "squared_error",
  "squared_hinge",
  "untrained",
  "weighted",
]
