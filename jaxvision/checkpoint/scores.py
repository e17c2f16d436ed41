"""Scores of checkpoints, in the files STEP/metrics/metrics."""

import logging
import pathlib

from jaxvision import files
from jaxvision.files import seals

_LOGGER = logging.getLogger(__name__)


def metrics(step: int, score: float) -> dict[str, float | str]:
  """The sealed content of a score file."""
  return seals.sealed({"score": score}, place=_place(step))


def write(checkpoints: pathlib.Path, step: int, score: float) -> None:
  """Writes the score file of a checkpoint that has none."""
  path = _path(checkpoints, step)
  path.parent.mkdir(exist_ok=True)
  files.write_json(path, metrics(step, score))


def read(checkpoints: pathlib.Path, step: int) -> float | None:
  """The score of a checkpoint; None if it has no score.

  Raises:
    ValueError: the file is damaged, or belongs to another step.
  """
  try:
    found = files.read_json(_path(checkpoints, step))
  except FileNotFoundError:
    return None
  found = seals.verified(found, place=_place(step), unsealed=("score",))
  score = found.get("score")
  if isinstance(score, bool) or not isinstance(score, int | float):
    raise ValueError(f"{_place(step)} is {score!r}; expected a number")
  return score


def best(checkpoints: pathlib.Path) -> int | None:
  """The step with the largest score, the last one of ties; None without scores.

  Damaged scores are ignored, with a warning.
  """
  known = {}
  for step in steps(checkpoints):
    try:
      known[step] = read(checkpoints, step)
    except (ValueError, OSError) as error:
      _LOGGER.warning("%s; checkpoint %d cannot be the best", error, step)
  scored = {step: each for step, each in known.items() if each is not None}
  return max(scored, key=lambda step: (scored[step], step), default=None)


def steps(checkpoints: pathlib.Path) -> list[int]:
  """The steps of the checkpoints in the folder, ascending."""
  if not checkpoints.is_dir():
    return []
  names = (path.name for path in checkpoints.iterdir())
  return sorted(int(name) for name in names if name.isdecimal())


def _path(checkpoints: pathlib.Path, step: int) -> pathlib.Path:
  return checkpoints / str(step) / "metrics" / "metrics"


def _place(step: int) -> str:
  return f"the score of step {step}"
