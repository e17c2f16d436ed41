"""The folder of a sweep, which all its workers share.

  sweep.json           definition of the sweep
  code/                copies of the recipe and of the user's own code
  trials/0007/         run folder of trial 7, as written by `jaxvision train`
  trials/0007/trial.json   settings, state and value of trial 7
  workers/             logs of the workers
  sweep.db             the storage, unless --storage gives another one

A report needs this folder only. Resuming the sweep needs the storage too.
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
# Key of sweep.json that is not part of the definition of the sweep.
_NAME = "study"


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
  """Holds the lock of the sweep, against processes of other machines too."""
  workdir.mkdir(parents=True, exist_ok=True)
  with locks.locked(workdir / "lock"):
    yield


def claim(
  workdir: Path, experiment: Experiment, *, file: str, **how: Any
) -> dict[str, Any]:
  """Writes sweep.json, or checks that the folder belongs to the same sweep.

  Args:
    workdir: the sweep's folder.
    experiment: the experiment.
    file: the experiment file.
    **how: searcher, draws, seed and number of trials.

  Returns:
    The content of sweep.json; "study" is the name of the study in the storage.

  Raises:
    ValueError: the folder belongs to another sweep.
  """
  content = {
    "experiment": file,
    **dataclasses.asdict(dataclasses.replace(experiment, copies={})),
    "space": space.describe(experiment.space),
    **how,
  }
  del content["copies"]
  content = json.loads(files.to_json(content, default=str))
  path = workdir / "sweep.json"
  if path.exists():
    found = sweep_folder.read_definition(workdir)
    refuse_other(workdir, found, {**content, _NAME: found[_NAME]}, what="sweep")
    return found
  title = files.printable(workdir.resolve().name)
  content[_NAME] = f"{title}-{uuid.uuid4().hex[:8]}"
  for bundle in experiment.copies.values():
    user_code.allow(bundle)
  content["code"] = user_code.write_copies(workdir, experiment.copies)
  files.write_json(path, content)
  return content


def trial_folder(workdir: Path, number: int) -> Path:
  """The run folder of a trial."""
  return workdir / "trials" / f"{number:04d}"


def write_trial(workdir: Path, number: int, facts: Mapping[str, Any]) -> None:
  """Writes trial.json into the run folder of a trial."""
  folder = trial_folder(workdir, number)
  folder.mkdir(parents=True, exist_ok=True)
  files.write_json(folder / "trial.json", {**facts, "number": number})


def read_trial(
  workdir: Path,
  number: int,
  *,
  warn: Callable[[str], None] = _LOGGER.warning,
) -> dict[str, Any]:
  """Reads trial.json of a trial; {} if it does not exist or is damaged.

  Args:
    workdir: the sweep's folder.
    number: number of the trial.
    warn: called with a message if the file is damaged. The trial then resumes
      from its run folder alone.
  """
  try:
    return sweep_folder.read_trial(trial_folder(workdir, number) / "trial.json")
  except FileNotFoundError:
    return {}
  except (ValueError, OSError) as error:
    warn(str(error))
    return {}


def refuse_other(
  workdir: Path,
  found: Mapping[str, Any],
  content: Mapping[str, Any],
  *,
  what: str,
) -> None:
  """Raises ValueError if a folder has another definition than `content`.

  Args:
    workdir: the folder.
    found: the definition in the folder.
    content: the definition that was asked for.
    what: "sweep" or "search", for the message.
  """
  differences = [
    f"  {key}: {old!r} there, {new!r} here"
    for key, old, new in reading.compare_configs(found, content)
    if key != "experiment" and not key.startswith("code.")
  ]
  if differences:
    raise ValueError(
      f"{workdir} belongs to another {what}:\n"
      + "\n".join(differences)
      + f"\nUse another --workdir for this {what}, or restore these values."
    )
