"""The folder of a run: config.json, environment.json, result.json, arrays.

A folder belongs to one config. `report` reads run folders only.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import importlib.resources
import json
import logging
import pathlib
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import config as configs
from jaxvision import files, user_code
from jaxvision.files import locks, records
from jaxvision.runs import changes, reading
from jaxvision.runs.reading import read_config

Path = pathlib.Path
_LOGGER = logging.getLogger(__name__)
_UNKNOWN = "not known"
_KEPT = "task"  # the folder of the files that a task keeps

# Keys that may differ between the processes of a run.
_MACHINE_KEYS = (
  "checkpoint.keep",
  "data.data_dir",
  "data.max_pixels",
  "data.threads",
  "data.workers",
  "log.peak_flops",
  "log.tensorboard",
  "log.trackers",
  "mesh.data",
  "mesh.fsdp",
  "mesh.replica",
  "mesh.rules",
  "train.remat",
)
_PACKAGES = (
  "jaxvision",
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "tensorflow-datasets",
  "numpy",
  "opencv-python-headless",
  "pillow",
  "simplejpeg",
)


@contextlib.contextmanager
def held(workdir: str | Path, *, claimed: bool = False) -> Iterator[None]:
  """Locks the folder of a run: one process at a time trains in it.

  The lock is WORKDIR/lock. Readers do not need it. A run that is read-only,
  such as a finished run in an archive, is not locked.

  Args:
    workdir: the run's folder; it and its parents are created.
    claimed: whether the run was assigned to this process already. The lock
      then excludes other processes, but a held lock is only a warning.

  Raises:
    ValueError: another process trains in the folder; the message names it.
    OSError: the folder is not writable and has no run.
  """
  workdir = Path(workdir)
  refusal = (
    f"{workdir} is in use by {{holder}}, which trains there: wait until it "
    "ends, or give another --workdir"
  )
  with contextlib.ExitStack() as stack:
    try:
      workdir.mkdir(parents=True, exist_ok=True)
      stack.enter_context(
        locks.locked(
          workdir / "lock",
          refusal=refusal,
          unlockable=lambda why: _LOGGER.warning(
            "%s is not locked (%s): do not start a second process", workdir, why
          ),
        )
      )
    except ValueError as error:
      if not claimed:
        raise
      _LOGGER.warning("%s; continuing, as this process owns the run", error)
    except OSError as error:
      if not (workdir / "config.json").exists():
        raise _unwritable(workdir, error) from error
    yield


def _unwritable(workdir: Path, error: OSError) -> OSError:
  return OSError(
    f"cannot write the workdir {workdir}: {error.strerror or error}; give "
    "--workdir a writable folder"
  )


def claim(
  workdir: str | Path,
  *,
  config: Mapping[str, Any],
  recipe: str,
  overrides: Mapping[str, Any],
  overfit: int = 0,
  extended: Mapping[str, Any] | None = None,
) -> Path:
  """Creates the folder, or checks that it belongs to the same config.

  The user's own code that the config names is copied into the folder. Keys
  that do not change the training may differ; config.json records the changes.

  Args:
    workdir: the run's folder; it and its parents are created.
    config: nested, with all keys.
    recipe, overrides, overfit: the origin of the config, for the report.
    extended: record of an extension; an extension may change durations.

  Raises:
    ValueError: the folder belongs to another config (the message has the
      differences), or has checkpoints without a config; config.json is damaged;
      or a value of the config is not finite.
    OSError: the folder is not writable.
  """
  workdir = Path(workdir)
  changes.check_finite(config)
  if (workdir / "config.json").exists():
    _update_claim(
      workdir,
      config,
      recipe=recipe,
      overrides=overrides,
      overfit=overfit,
      extended=extended,
    )
    return workdir
  if (workdir / "checkpoints").exists():
    raise ValueError(
      f"{workdir} has checkpoints but no config.json, so their run is unknown; "
      "use another workdir"
    )
  code = user_code.used(config)
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    content = {
      "recipe": recipe,
      "overrides": dict(overrides),
      "overfit": overfit,
      "config": user_code.as_written(config),
    }
    if code:
      content["code"] = user_code.write_copies(workdir, code)
    files.write_json(workdir / "config.json", content)
  except OSError as error:
    raise _unwritable(workdir, error) from error
  return workdir


def _update_claim(workdir: Path, config: Mapping[str, Any], **how: Any) -> None:
  found, code = read_config(workdir), user_code.used(config)
  config = user_code.as_written(config)
  differences = changes.check(workdir, found, config, **how)
  if not differences:
    return
  content = changes.with_history(found, differences, config, how["extended"])
  kept = found.get("code", {})
  new = {key: each for key, each in code.items() if key not in kept}
  if new:
    content["code"] = kept | user_code.write_copies(workdir, new, kept=kept)
  files.write_json(workdir / "config.json", content)


def keep(workdir: Path, kept: Mapping[str, bytes]) -> None:
  """Writes the files that a task keeps in the folder of its run, once."""
  for name, content in kept.items():
    path = workdir / _KEPT / name
    if not path.exists():
      path.parent.mkdir(exist_ok=True)
      files.write_bytes(path, content)


def read_kept(workdir: str | Path) -> dict[str, bytes]:
  """Reads the files that a task has kept; none in a new folder."""
  return {
    path.name: path.read_bytes()
    for path in sorted(Path(workdir).glob(f"{_KEPT}/*"))
    if path.is_file() and not path.name.startswith(".")
  }


def read_code(workdir: str | Path) -> dict[str, user_code.Bundle]:
  """The copies of the user's own code in a run; keys as in the config.

  Raises:
    OSError, ValueError: a copy is missing, was changed, or is not trusted.
  """
  workdir = Path(workdir)
  if not (workdir / "config.json").exists():
    return {}
  return user_code.read_copies(workdir, read_config(workdir).get("code", {}))


def load_config(
  workdir: str | Path, overrides: Mapping[str, Any] | None = None
) -> configs.ConfigDict:
  """The frozen config of a run; a key that it lacks has its default.

  Args:
    workdir: the run's folder.
    overrides: {dotted key: value}.

  Raises:
    FileNotFoundError: the folder is not a run.
    ValueError: it names code that this account does not trust, or a key or a
      value is wrong.
  """
  found = read_config(workdir)
  recipe = found.get("recipe", "").partition(":")[0]
  return configs.restore(
    found["config"],
    overrides,
    folders=[Path(recipe).parent, Path()],
    copies=read_code(workdir),
    owner=str(workdir),
  )


def add_environment(
  workdir: Path, *, step: int, devices: str, backend: str, ago: float = 0.0
) -> None:
  """Adds a record of this start to environment.json.

  Args:
    workdir: the run's folder.
    step: the step that the run resumes from.
    devices, backend: text about the devices and the backend.
    ago: seconds since the start of the process.
  """
  began = datetime.datetime.now().astimezone() - datetime.timedelta(seconds=ago)
  path = workdir / "environment.json"
  starts = _starts(path)
  start = {
    "started": began.isoformat("T", "seconds"),
    "step": step,
    "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    "python": platform.python_version(),
    **{name: importlib.metadata.version(name) for name in _PACKAGES},
    "commit": _commit(),
    "devices": devices,
    "platform": backend,
    "hostname": socket.gethostname(),
  }
  files.write_json(path, [*starts, start])


def _starts(path: Path) -> list[dict[str, Any]]:
  """The records of earlier starts; one placeholder record if they are lost."""
  try:
    starts = files.read_json(path, kind=list)
    for each in starts:
      for text in records.wrong(each, records.START):
        raise ValueError(f"{path} is damaged: {text}")
    return starts
  except FileNotFoundError:
    return []
  except ValueError as error:
    _LOGGER.warning("%s; the records of earlier starts are lost", error)
    return [{"started": _UNKNOWN, "step": 0}]


def began(workdir: Path) -> float | None:
  """Time of the first start in seconds of `time.time`; None if unknown."""
  started = _starts(workdir / "environment.json")[0]["started"]
  try:
    return datetime.datetime.fromisoformat(started).timestamp()
  except ValueError:
    return None


def digest(config: Mapping[str, Any]) -> str:
  """16 hex digits of a nested config, without the keys of the machine."""
  counted = {
    key: value
    for key, value, _ in reading.compare_configs(config, {})
    if key not in _MACHINE_KEYS
  }
  text = json.dumps(counted, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def code() -> str:
  """The commit of the code and 8 hex digits of its files, as "0cc7caa 1b…"."""
  here = Path(str(importlib.resources.files("jaxvision")))
  sha = hashlib.sha256()
  for path in sorted(here.rglob("*.py")):
    sha.update(f"{path.relative_to(here)}\n".encode() + path.read_bytes())
  return f"{_commit() or 'no commit'}, files {sha.hexdigest()[:8]}"


def write_result(workdir: Path, result: Mapping[str, Any]) -> None:
  """Writes result.json."""
  files.write_json(workdir / "result.json", result)


def read_result(
  workdir: str | Path,
  *,
  remedy: str = "run the train command of this run again: it rewrites the file",
) -> dict[str, Any]:
  """Reads result.json of a run; {} if it does not exist.

  Raises:
    ValueError: the file is damaged; the message ends with `remedy`.
  """
  try:
    path = Path(workdir) / "result.json"
    return records.read(path, records.RESULT, remedy=remedy)
  except FileNotFoundError:
    return {}


def write_arrays(path: Path, **arrays: np.ndarray | Sequence[Any]) -> None:
  """Writes an .npz atomically."""
  with files.writing(path) as file:
    np.savez_compressed(file, **arrays)


def _commit() -> str | None:
  """The commit of the code, with "+" if files were changed since."""
  here = importlib.resources.files("jaxvision")
  git = ["git", "-C", str(here), "describe", "--always", "--dirty=+"]
  try:
    done = subprocess.run(git, capture_output=True, text=True, check=True)
  except (OSError, subprocess.CalledProcessError):
    return None
  return done.stdout.strip()
