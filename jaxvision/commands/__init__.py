"""The commands: each file declares some, and calls one function for each."""

from jaxvision.commands import (
  data,
  launch,
  models,
  parsing,
  plan,
  probe,
  sweep,
  train,
  trained,
  weights,
)

__all__ = [
  "data",
  "launch",
  "models",
  "parsing",
  "plan",
  "probe",
  "sweep",
  "train",
  "trained",
  "weights",
]
