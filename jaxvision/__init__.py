"""Image classification research in JAX: every model a config.

  import jaxvision
  model = jaxvision.models.create("resnet50", num_classes=10)
  jaxvision.train("configs/digits.py", workdir="runs/digits")

Parts are imported when they are first used, so that this import is quick.
"""

import importlib
from typing import Any

_PARTS = {
  name: f"jaxvision.{name}"
  for name in (
    "data",
    "inference",
    "interpret",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "report",
    "runs",
    "schedules",
    "sweeps",
    "variables",
    "weights",
  )
}
# Names in the documentation of earlier versions: user code imports them.
_EARLIER = {
  "activations": "jaxvision.layers.activations",
  "analysis": "jaxvision.report",
  "export": "jaxvision.inference.export",
  "features": "jaxvision.interpret",
  "initializers": "jaxvision.layers.initializers",
  "ranges": "jaxvision.lookup.ranges",
  "start": "jaxvision.variables",
  "sweep": "jaxvision.sweeps",
  "train_step": "jaxvision.training.step",
}
_FUNCTIONS = {
  "train": "jaxvision.training",
  "tune_cpu": "jaxvision.xla.settings",
}


def __getattr__(name: str) -> Any:
  if module := (_PARTS | _EARLIER).get(name):
    return importlib.import_module(module)
  if module := _FUNCTIONS.get(name):
    return getattr(importlib.import_module(module), name)
  raise AttributeError(f"module 'jaxvision' has no attribute {name!r}")


def __dir__() -> list[str]:
  return [*_PARTS, *_FUNCTIONS]
