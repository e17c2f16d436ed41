"""What the processes of a run say to each other: outcomes, texts, files.

Alone a process is its own first one and agrees with itself; nothing here then
computes or waits. Otherwise all processes call the same functions in the same
order, or those who do wait for those who do not.
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

# File systems of a network show a new file late.
_APPEARS_WITHIN = 10.0


class Agreed(ValueError):
  """An error that every process raises, so that none waits for another."""


def is_first() -> bool:
  """Whether this is process 0, which alone writes files and the log."""
  return jax.process_index() == 0


def first(action: Callable[[], Any]) -> Any:
  """What an action returns that process 0 alone takes; JSON must hold it.

  Raises:
    Agreed: process 0 raised a ValueError or OSError; with its words.
  """
  if jax.process_count() == 1:
    return action()
  told, cause = {}, None
  if is_first():
    try:
      told = {"value": action()}
    except (ValueError, OSError) as error:
      told, cause = {"error": str(error)}, error
  told = json.loads(texts(json.dumps(told))[0])
  if "error" in told:
    raise Agreed(told["error"]) from cause
  return told["value"]


def texts(text: str) -> list[str]:
  """The texts of all processes, in their order."""
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
  """Compares what must be the same everywhere.

  Args:
    facts: by name, as {"jax": "0.10.2", "config": "f00d"}; the same names in
      every process.

  Raises:
    Agreed: some differ; says which process has which.
  """
  everyone = [json.loads(text) for text in texts(json.dumps(dict(facts)))]
  lines = []
  for name in facts:
    holders = {}
    for process, theirs in enumerate(everyone):
      holders.setdefault(theirs[name], []).append(process)
    if len(holders) > 1:
      lines += [
        f"  {name}: {value} in {_named(those)}"
        for value, those in holders.items()
      ]
  if lines:
    raise Agreed(
      "the processes of this run are not the same:\n"
      + "\n".join(lines)
      + "\nGive all of them one installation and one command."
    )


def check_shared(folder: pathlib.Path) -> None:
  """Whether all processes see the folder that process 0 has made.

  Raises:
    Agreed: some do not; names them.
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
  # Listed, not asked for: "there is none" is remembered longer than a list.
  while path.parent.is_dir():
    if path.name in {each.name for each in path.parent.iterdir()}:
      return True
    if time.monotonic() > deadline:
      return False
    time.sleep(0.1)
  return False


def _named(those: list[int]) -> str:
  return f"process{'es' * (len(those) > 1)} {', '.join(map(str, those))}"
