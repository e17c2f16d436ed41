"""Folders of runs while they train, written as a training writes them."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator

from jaxvision import config as configs
from jaxvision.report import overview
from jaxvision.runs import metrics_log
from jaxvision.runs import workdir as workdirs

PER_EPOCH = 50  # steps


@contextlib.contextmanager
def training(
  folder: pathlib.Path,
  *,
  total: int = 100,
  best: str = "validation/top1",
  first_step: int = 0,
) -> Iterator[Callable[..., None]]:
  """A process that trains, and later ends; gives write(step, values)."""
  config = configs.complete({})
  config["checkpoint"]["best"] = best
  with workdirs.held(folder):
    workdirs.claim(folder, config=config, recipe="r.py", overrides={})
    facts = {"total_steps": total, "status": "running", "step": first_step}
    workdirs.write_result(folder, facts)
    with metrics_log.open_metrics(
      folder, first_step=first_step, tensorboard=False
    ) as write:
      yield write


def values(step: int, *, seconds: float = 1.0) -> dict[str, float]:
  """The values of a line after a step; a step takes some seconds."""
  return {
    "train/loss": 1 / step,
    "epoch": step / PER_EPOCH,
    "images_per_second": 64 / seconds,
    "seconds": seconds * step,
  }


def rows(
  *folders: pathlib.Path, after: float = 0.0, trials: bool = False
) -> dict[str, overview.Row]:
  """The rows of runs by their names, some seconds later."""
  found = overview.look(folders, ended_trials=trials)
  listed = overview.rows(found, now=time.time() + after, trials=trials)
  return {row.name: row for row in listed}
