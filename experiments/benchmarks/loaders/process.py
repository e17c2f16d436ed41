"""The process of one loader, which takes batches on command."""

import contextlib
import dataclasses
import importlib
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import resource
import time
from collections.abc import Iterator, Mapping
from typing import Any

import loaders

_TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Process:
  """A loader in a separate process; see `opened`."""

  connection: multiprocessing.connection.Connection

  def take(self, number: int) -> dict[str, float]:
    """Takes batches and returns their cost.

    Returns:
      seconds of wall time; cpu, the seconds of all cores in this process and
      its child processes since the previous call; and first, the seconds until
      the very first batch.

    Raises:
      RuntimeError: the loader failed; the message has the reason.
    """
    return self._ask(number)

  def memory(self) -> list[float]:
    """Returns MiB of the process, then of each of its child processes.

    Shared memory, such as that of batches, is divided equally.
    """
    return self._ask("memory")

  def _ask(self, command: int | str) -> Any:
    # A failed loader has sent its error before the command.
    with contextlib.suppress(BrokenPipeError):
      self.connection.send(command)
    answer = self.connection.recv()
    if isinstance(answer, str):
      raise RuntimeError(answer)
    return answer


@contextlib.contextmanager
def opened(
  name: str, folder: pathlib.Path, **options: Any
) -> Iterator[Process]:
  """Starts the process of a loader, and ends it on exit.

  Args:
    name: one of `loaders.LOADERS`.
    folder: of the images.
    **options: of its `batches`.
  """
  context = multiprocessing.get_context("spawn")
  ours, theirs = context.Pipe()
  process = context.Process(target=_serve, args=(theirs, name, folder, options))
  process.start()
  theirs.close()
  try:
    yield Process(ours)
  finally:
    ours.close()  # this ends the process
    process.join()


def _serve(
  connection: multiprocessing.connection.Connection,
  name: str,
  folder: pathlib.Path,
  options: Mapping[str, Any],
) -> None:
  with contextlib.suppress(EOFError, BrokenPipeError):
    try:
      _answer_all(connection, name, folder, options)
    except (EOFError, BrokenPipeError):
      raise
    except Exception as error:  # sent to the waiting process
      connection.send(f"{name}: {type(error).__name__}: {error}")


def _answer_all(
  connection: multiprocessing.connection.Connection,
  name: str,
  folder: pathlib.Path,
  options: Mapping[str, Any],
) -> None:
  loader = loaders.LOADERS[name]
  module = importlib.import_module(f"loaders.{loader.module}")
  begin = time.perf_counter()
  batches = module.batches(folder, **{**loader.options, **options})
  with contextlib.closing(batches):
    next(batches)
    first, used = time.perf_counter() - begin, _cpu_seconds()
    while True:
      command = connection.recv()
      if command == "memory":
        connection.send([_memory(pid) for pid in (os.getpid(), *_started())])
        continue
      begin, before = time.perf_counter(), used
      for _ in range(command):
        next(batches)
      seconds, used = time.perf_counter() - begin, _cpu_seconds()
      connection.send(
        {"seconds": seconds, "cpu": used - before, "first": first}
      )


def _cpu_seconds() -> float:
  """Returns CPU seconds of this process and all its children, also ended."""
  own = [
    resource.getrusage(who)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
  ]
  ended = sum(each.ru_utime + each.ru_stime for each in own)
  return ended + sum(map(_cpu_of, _started()))


def _cpu_of(pid: int) -> float:
  with contextlib.suppress(OSError):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return sum(map(int, words.split()[11:13])) / _TICK
  return 0.0


def _started(pid: int | str = "self") -> list[int]:
  """Returns the child processes of a process, and their children."""
  found = []
  for file in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
    with contextlib.suppress(OSError):
      for word in file.read_text().split():
        found += [int(word), *_started(word)]
  return found


def _memory(pid: int) -> float:
  """Returns MiB; shared pages are divided by the number of processes."""
  rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
  lines = (line.split() for line in rollup.splitlines())
  return next(int(line[1]) / 1024 for line in lines if line[0] == "Pss:")
