"""The folder of a sweep, which all its workers share.

  sweep.json           what is asked and how; the folder belongs to it
  code/                the recipe and the user's own code, as they were
  trials/0007/         the run of trial 7, as `jaxvision train` leaves it
  trials/0007/trial.json   what the sweep says of it: settings, state, value
  workers/             what the workers printed
  sweep.db             the storage, unless it is elsewhere

It says all that a report needs; the storage is only needed to go on.
"""

import contextlib
import dataclasses
import json
import logging
import pathlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxvision import files, user_code
from jaxvision.files import locks
from jaxvision.runs import reading, sweep_folder
from jaxvision.sweeps.experiment import space
from jaxvision.sweeps.experiment.experiment import Experiment

Path = pathlib.Path
_LOGGER = logging.getLogger(__name__)
# Does not belong to what is asked.
_NAME = "study"


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
  """Only one process is in here at a time, also of other machines."""
  workdir.mkdir(parents=True, exist_ok=True)
  with locks.locked(workdir / "lock"):
    yield


def claim(
  workdir: Path, asked: Experiment, *, file: str, **how: Any
) -> dict[str, Any]:
  """Writes sweep.json, or finds that the folder is of the same sweep.

  Args:
    workdir: of the sweep.
    asked: the experiment.
    file: where it was read from.
    **how: the searcher and its numbers.

  Returns:
    The content of sweep.json; "study" names it in the storage.

  Raises:
    ValueError: the folder belongs to another sweep.
  """
  content = {
    "experiment": file,
    **dataclasses.asdict(dataclasses.replace(asked, copies={})),
    "space": space.describe(asked.space),
    **how,
  }
  del content["copies"]
  content = json.loads(files.to_json(content, default=str))
  path = workdir / "sweep.json"
  if path.exists():
    found = sweep_folder.read_asked(workdir)
    _refuse_other(workdir, found, {**content, _NAME: found[_NAME]})
    return found
  title = files.printable(workdir.resolve().name)
  content[_NAME] = f"{title}-{uuid.uuid4().hex[:8]}"
  for bundle in asked.copies.values():
    user_code.allow(bundle)
  content["code"] = user_code.write_copies(workdir, asked.copies)
  files.write_json(path, content)
  return content


def trial_folder(workdir: Path, number: int) -> Path:
  """The run folder of a trial."""
  return workdir / "trials" / f"{number:04d}"


def write_trial(workdir: Path, number: int, facts: Mapping[str, Any]) -> None:
  """Writes what is known of a trial, beside its run."""
  folder = trial_folder(workdir, number)
  folder.mkdir(parents=True, exist_ok=True)
  files.write_json(folder / "trial.json", {**facts, "number": number})


def read_trial(
  workdir: Path,
  number: int,
  *,
  tell: Callable[[str], None] = _LOGGER.warning,
) -> dict[str, Any]:
  """What `write_trial` wrote; {} before it has.

  Args:
    workdir: of the sweep.
    number: of the trial.
    tell: is told of a file that is damaged, which counts as none: the trial
      then goes on from what its run has left.
  """
  try:
    return sweep_folder.read_trial(trial_folder(workdir, number) / "trial.json")
  except FileNotFoundError:
    return {}
  except (ValueError, OSError) as error:
    tell(str(error))
    return {}


def _refuse_other(
  workdir: Path, found: Mapping[str, Any], content: Mapping[str, Any]
) -> None:
  differences = [
    f"  {key}: {old!r} there, {new!r} here"
    for key, old, new in reading.compare_configs(found, content)
    if key != "experiment" and not key.startswith("code.")
  ]
  if differences:
    raise ValueError(
      f"{workdir} belongs to another sweep:\n"
      + "\n".join(differences)
      + "\nGive this sweep its own --workdir, or change it back."
    )
