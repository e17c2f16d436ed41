"""Metrics as sums over examples, divided only at the end."""

from jaxvision.metrics import classification, multilabel, regression
from jaxvision.metrics.evaluation import Evaluation, Example, add

__all__ = [
  "Evaluation",
  "Example",
  "add",
  "classification",
  "multilabel",
  "regression",
]
