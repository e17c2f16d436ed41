"""Metrics as sums over examples, divided only at the end."""

from jaxvision.metrics import classification
from jaxvision.metrics.evaluation import Evaluation, Example

__all__ = ["Evaluation", "Example", "classification"]
