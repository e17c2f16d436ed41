"""Very small and fast runs: a few images, a recipe, their parts."""

import json
import os
import pathlib
import signal
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvision import config as configs
from jaxvision import tasks
from jaxvision.training import setup

_RECIPE = """
from jaxvision.configs import default


def get_config():
  config = default.get_config()
  config.model.name = "mlp"
  config.model.options = {{"hidden": (8,)}}
  config.data.kind = "npz"
  config.data.name = {path!r}
  config.data.test = ""
  config.data.channels = 1
  config.data.threads = 1
  config.train.batch_size = 16
  config.train.duration = "6 steps"
  return config
"""


def write_data(
  folder: pathlib.Path,
  *,
  sizes: Mapping[str, int] | None = None,
  num_classes: int = 3,
  shape: tuple[int, int, int] = (4, 4, 1),
  captioned: bool = False,
) -> pathlib.Path:
  """Writes data.npz: noise whose brightness grows with the label.

  Captions are "class 0", "class 1" and so on.
  """
  rng = np.random.default_rng(0)
  arrays = {}
  for split, size in (sizes or {"train": 40, "validation": 21}).items():
    labels = np.arange(size) % num_classes
    images = rng.integers(0, 100, (size, *shape))
    arrays[f"{split}_labels"] = labels
    if captioned:
      arrays[f"{split}_captions"] = [f"class {label}" for label in labels]
    brightness = labels * (155 // (num_classes - 1))
    arrays[f"{split}_images"] = images + brightness[:, None, None, None]
  path = folder / "data.npz"
  np.savez(path, **arrays)
  return path


def load_config(folder: pathlib.Path, **overrides: Any) -> configs.ConfigDict:
  """The config of a run on the data in `folder`; `a__b` overrides "a.b"."""
  path = folder / "data.npz"
  recipe = folder / "recipe.py"
  recipe.write_text(_RECIPE.format(path=str(path)), "utf-8")
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  return configs.load(str(recipe), dotted)


def make_task(
  config: configs.ConfigDict,
  model: Any,
  shape: Any,
  *,
  taught: tasks.Taught = tasks.UNTAUGHT,
) -> tasks.Task:
  """The task of a config for images (h, w, c), without a mesh.

  A captioner knows the captions of `write_data`.
  """
  names = tuple(map(str, range(model.num_classes)))
  words = json.dumps({"words": ["class", *names]}).encode()
  return setup.make_task(
    config,
    model,
    image_shape=shape,
    class_names=names,
    taught=taught,
    kept={"vocabulary.json": words},
  )


def prepare(folder: pathlib.Path, **overrides: Any) -> setup.Parts:
  """The parts of a run on the data in `folder`."""
  config = load_config(folder, **overrides)
  return setup.prepare(config, setup.open_splits(config))


def stopped_at(number: int) -> Callable[..., str]:
  """A `watch` that preempts the run at the evaluation after a step."""

  def watch(step: int, total: int, values: Mapping[str, float]) -> str:
    if step == number:
      os.kill(os.getpid(), signal.SIGTERM)
    return ""

  return watch
