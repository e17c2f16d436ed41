"""Optimizers of optax by name, with rules per parameter."""

from jaxvision.optimizers.chain import (
  COUPLED_DECAY,
  OWN_DECAY,
  Optimizer,
  create,
)
from jaxvision.optimizers.loss_scale import with_loss_scale
from jaxvision.optimizers.muon import muon_dimensions

__all__ = [
  "COUPLED_DECAY",
  "OWN_DECAY",
  "Optimizer",
  "create",
  "freezing",
  "loss_scale",
  "muon_dimensions",
  "with_loss_scale",
]
