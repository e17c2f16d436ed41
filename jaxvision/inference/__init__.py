"""Inference with trained networks: evaluate, predict, explain, export."""

from jaxvision.inference.evaluation import (
  describe,
  evaluate,
  evaluate_suite,
  measure,
)
from jaxvision.inference.explanation import explain
from jaxvision.inference.prediction import blank, predict
from jaxvision.training.setup.restore import TrainedRun, load_run, read_config

__all__ = [
  "TrainedRun",
  "blank",
  "describe",
  "evaluate",
  "evaluate_suite",
  "explain",
  "explanation",
  "export",
  "generation",
  "load_run",
  "measure",
  "predict",
  "pretrained",
  "read_config",
  "views",
]
