"""Inference with trained networks: evaluate, predict, export."""

from jaxvision.inference.inference import (
  TrainedRun,
  describe,
  evaluate,
  load_run,
  predict,
  read_config,
)

__all__ = [
  "TrainedRun",
  "describe",
  "evaluate",
  "export",
  "load_run",
  "predict",
  "pretrained",
  "read_config",
]
