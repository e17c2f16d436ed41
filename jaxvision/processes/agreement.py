"""Agreement between the processes of a run: outcomes, texts and files.

With one process, every function returns immediately. With several processes,
all processes must call the same functions in the same order. Otherwise they
wait for each other forever.
"""

import json
import pathlib
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

# Seconds. Network file systems show a new file with a delay.
_APPEARS_WITHIN = 10.0


class Agreed(ValueError):
  """An error that all processes raise together, so that none waits."""


def is_first() -> bool:
  """Whether this is process 0, which alone writes files and the log."""
  return jax.process_index() == 0


def first(action: Callable[[], Any]) -> Any:
  """Runs an action in process 0 and returns its result in all processes.

  Args:
    action: returns a value that JSON can represent.

  Raises:
    Agreed: process 0 raised a ValueError or OSError; with its message.
  """
  if jax.process_count() == 1:
    return action()
  outcome, cause = {}, None
  if is_first():
    try:
      outcome = {"value": action()}
    except (ValueError, OSError) as error:
      outcome, cause = {"error": str(error)}, error
  outcome = json.loads(texts(json.dumps(outcome))[0])
  if "error" in outcome:
    raise Agreed(outcome["error"]) from cause
  return outcome["value"]


def texts(text: str) -> list[str]:
  """Gathers one text from each process, in the order of the processes."""
  if jax.process_count() == 1:
    return [text]
  content = np.frombuffer(text.encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.asarray(len(content), np.int32))
  padded = np.pad(content, (0, int(sizes.max()) - len(content)))
  rows = multihost_utils.process_allgather(padded)
  return [
    row[:size].tobytes().decode()
    for row, size in zip(rows, sizes.tolist(), strict=True)
  ]


def agree(facts: Mapping[str, str]) -> None:
  """Checks that all processes have the same values.

  Args:
    facts: values by name, such as {"jax": "0.10.2", "config": "f00d"}. All
      processes must give the same names.

  Raises:
    Agreed: some values differ. The message lists the processes of each value.
  """
  gathered = [json.loads(text) for text in texts(json.dumps(dict(facts)))]
  lines = []
  for name in facts:
    processes_of = {}
    for process, values in enumerate(gathered):
      processes_of.setdefault(values[name], []).append(process)
    if len(processes_of) > 1:
      lines += [
        f"  {name}: {value} in {_named(processes)}"
        for value, processes in processes_of.items()
      ]
  if lines:
    raise Agreed(
      "the processes of this run differ:\n"
      + "\n".join(lines)
      + "\nStart all of them with the same installation and the same command."
    )


def check_shared(folder: pathlib.Path) -> None:
  """Checks that all processes see a folder that process 0 has created.

  Raises:
    Agreed: some processes do not see it; the message names them.
  """
  if jax.process_count() == 1:
    return
  token = f".seen-{uuid.uuid4().hex}"
  token = first(lambda: _write(folder, token))
  seen = texts("yes" if _appears(folder / token) else "no")
  first(lambda: (folder / token).unlink())
  blind = [process for process, text in enumerate(seen) if text == "no"]
  if blind:
    raise Agreed(
      f"{_named(blind)} do{'es' * (len(blind) == 1)} not see what process 0 "
      f"writes into {folder}; the workdir must be a folder that all processes "
      "share, on a network file system"
    )


def _write(folder: pathlib.Path, name: str) -> str:
  (folder / name).touch()
  return name


def _appears(path: pathlib.Path) -> bool:
  deadline = time.monotonic() + _APPEARS_WITHIN
  # List the folder instead of testing for the file: network file systems cache
  # a missing file longer than a listing.
  while path.parent.is_dir():
    if path.name in {each.name for each in path.parent.iterdir()}:
      return True
    if time.monotonic() > deadline:
      return False
    time.sleep(0.1)
  return False


def _named(processes: list[int]) -> str:
  listed = ", ".join(map(str, processes))
  return f"process{'es' * (len(processes) > 1)} {listed}"
