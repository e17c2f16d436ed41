"""Losses, one value per example: of labels, and of teachers (`distillation`).

`losses.softmax` and the other losses of labels are in losses/supervised.py.
"""

from jaxvision.losses import distillation
from jaxvision.losses.class_weights import balanced_weights, weighted
from jaxvision.losses.label_smoothing import smooth
from jaxvision.losses.penalty import penalty
from jaxvision.losses.supervised import (
  LOSSES,
  LOSSES_OF_LABELS,
  Loss,
  check_labels,
  create,
  hinge,
  huber,
  sigmoid,
  sigmoid_focal,
  softmax,
  softmax_focal,
  square,
  squared_error,
  squared_hinge,
  untrained,
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
