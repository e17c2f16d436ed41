"""Metrics: sums over examples, divided at the end.

Each part is imported at its first use: most need JAX, which a reader of a
confusion matrix does not need.
"""

import importlib
from typing import Any

from jaxvision.metrics.evaluation import (
  Evaluation,
  Example,
  Outputs,
  add,
  means,
)

__all__ = [
  "Evaluation",
  "Example",
  "Outputs",
  "add",
  "agreement",
  "classification",
  "confusion",
  "generation",
  "means",
  "multilabel",
  "operating_curves",
  "principal_components",
  "regression",
  "text",
]


def __getattr__(name: str) -> Any:
  if name in __all__:
    return importlib.import_module(f"jaxvision.metrics.{name}")
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
