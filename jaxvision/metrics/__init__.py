"""Metrics: sums over examples, divided at the end.

`classification` is imported at its first use: it needs JAX, which a reader of
a confusion matrix does not need.
"""

import importlib
from typing import Any

from jaxvision.metrics.evaluation import Evaluation, Example

__all__ = ["Evaluation", "Example", "classification", "confusion"]


def __getattr__(name: str) -> Any:
  if name in ("classification", "confusion"):
    return importlib.import_module(f"jaxvision.metrics.{name}")
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
