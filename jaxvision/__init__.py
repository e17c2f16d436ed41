"""Image classification research in JAX: every model a config.

  import jaxvision
  model = jaxvision.models.create("resnet50", num_classes=10)
  jaxvision.train("configs/digits.py", workdir="runs/digits")

Parts are imported when they are first used, so that this import is quick.
"""

import importlib
from typing import Any

_PARTS = ("analysis", "data", "features", "inference", "losses", "metrics")
_PARTS += ("models", "optimizers", "schedules", "start", "weights")


def __getattr__(name: str) -> Any:
  if name in _PARTS:
    return importlib.import_module(f"jaxvision.{name}")
  if name == "train":
    return importlib.import_module("jaxvision.training").train
  if name == "tune_cpu":
    return importlib.import_module("jaxvision.startup").tune_cpu
  raise AttributeError(f"module 'jaxvision' has no attribute {name!r}")


def __dir__() -> list[str]:
  return [*_PARTS, "train", "tune_cpu"]
