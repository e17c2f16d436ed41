"""Metrics as sums over examples, divided only at the end."""

from jaxvision.metrics import classification

__all__ = ["classification"]
