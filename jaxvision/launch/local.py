"""Runs the processes of a job on this machine, and all again if one is killed.

Process 0 prints to the screen, the others into FOLDER/process-N.log. When one
fails the others are given a moment to end by themselves, for none can go on
without it; then they are killed, with all processes that they have started.
"""

import contextlib
import dataclasses
import itertools
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import IO

from jaxvision.files import locks
from jaxvision.launch import job as jobs
from jaxvision.launch import signals
from jaxvision.processes import exit_codes

Path = jobs.Path

_LOGGER = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.1
# For the others to say why they end, after the first one has failed.
_SETTLE_SECONDS = 10.0
# Of the log of a process that failed, on the screen.
_SHOWN_LINES = 20


@dataclasses.dataclass(frozen=True)
class Options:
  """How to run on this machine.

  Attributes:
    processes: how many.
    devices: virtual CPU devices of each; 0 leaves it to jax.
    gpus: GPUs of each, in the order of CUDA_VISIBLE_DEVICES where that is set,
      else from 0 on; 0 shows all to every process.
    restarts: how often all may be started again.
    grace: seconds to save in, after a signal to stop.
  """

  processes: int
  devices: int = 0
  gpus: int = 0
  restarts: int = 3
  grace: int = 60


def render(job: jobs.Job, options: Options) -> jobs.Rendered:
  """One command for each process, with a port that is free now.

  Raises:
    ValueError: devices and gpus are both given, or CUDA_VISIBLE_DEVICES has
      fewer GPUs than all processes need.
  """
  if options.devices and options.gpus:
    raise ValueError(
      f"--devices {options.devices} asks for virtual CPU devices and --gpus "
      f"{options.gpus} for GPUs; give one of them"
    )
  address = f"{_HOST}:{_free_port()}"
  gpus = _allotted_gpus(options.processes * options.gpus)
  commands = [
    jobs.Command(
      ("env", *_variables(number, address, options, gpus), *jobs.words(job)),
      f"process {number}, which prints {_where(job.folder, number)}",
    )
    for number in range(options.processes)
  ]
  return jobs.Rendered(files={}, commands=commands)


def launch(job: jobs.Job, options: Options) -> int:
  """Runs the job to its end; SIGTERM and SIGINT are passed on.

  Returns:
    The exit code of the process that decided how the run ended.

  Raises:
    ValueError: processes of an earlier launch still run, or see `render`.
    OSError: the folder cannot be written.
  """
  with _held(job.folder) as lock, signals.received() as received:
    for attempt in itertools.count(1):
      rendered = render(job, options)
      codes = _run(job, rendered, options, received, lock)
      number = exit_codes.cause(codes)
      code = codes[number]
      if code:
        _explain(job.folder, number, code)
      again = exit_codes.is_resumable(code) and not received
      if not again or attempt > options.restarts:
        if again:
          _LOGGER.error("no more than --restarts %d", options.restarts)
        return code
      _LOGGER.warning(
        "starting all %d again: restart %d of %d",
        options.processes,
        attempt,
        options.restarts,
      )
  raise AssertionError("the attempts have no end")


def _allotted_gpus(count: int) -> list[str]:
  """The first GPUs that CUDA lets this process see, as CUDA names them.

  Raises:
    ValueError: there are fewer.
  """
  given = os.environ.get(_VISIBLE)
  if given is None:
    return [str(number) for number in range(count)]
  # CUDA reads the list up to the first name that is no device.
  visible = itertools.takewhile(
    lambda name: name[:1].isalnum() and name != "NoDevFiles",
    map(str.strip, given.split(",")),
  )
  gpus = list(dict.fromkeys(visible))[:count]  # One named twice is one.
  if len(gpus) < count:
    raise ValueError(
      f"{_VISIBLE}={given} allots {len(gpus)} GPUs to this command, but its "
      f"processes need {count} together; take fewer --processes or --gpus, or "
      "have more GPUs allotted"
    )
  return gpus


def _variables(
  number: int, address: str, options: Options, gpus: Sequence[str]
) -> Iterator[str]:
  yield f"JAXVISION_COORDINATOR={address}"
  yield f"JAXVISION_NUM_PROCESSES={options.processes}"
  yield f"JAXVISION_PROCESS_ID={number}"
  yield "PYTHONUNBUFFERED=1"
  if options.devices:
    yield "JAX_PLATFORMS=cpu"
    yield f"JAX_NUM_CPU_DEVICES={options.devices}"
  if options.gpus:
    first = number * options.gpus
    own = ",".join(gpus[first : first + options.gpus])
    yield f"{_VISIBLE}={own}"


def _free_port() -> int:
  with socket.create_server((_HOST, 0)) as server:
    return server.getsockname()[1]


def _where(folder: Path, number: int) -> str:
  return f"into {_log(folder, number)}" if number else "to the screen"


def _log(folder: Path, number: int) -> Path:
  return folder / f"process-{number}.log"


def _run(
  job: jobs.Job,
  rendered: jobs.Rendered,
  options: Options,
  received: Sequence[int],
  lock: IO[bytes],
) -> dict[int, int]:
  """Starts all processes; the exit code of each, in the order of their ends."""
  with contextlib.ExitStack() as stack:
    processes = []
    for number, command in enumerate(rendered.commands):
      log = (
        stack.enter_context(_log(job.folder, number).open("a"))
        if number
        else None
      )
      processes.append(
        subprocess.Popen(
          command.words,
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=log,
          env={**os.environ, **job.secrets},
          # Ctrl-C in a terminal goes to this process alone, which passes it on.
          start_new_session=True,
          # Held as long as one of them lives, whatever becomes of this one.
          pass_fds=(lock.fileno(),),
        )
      )
      stack.callback(_kill, processes[-1])
    _note(lock, processes)
    return _watch(processes, received, grace=options.grace)


def _watch(
  processes: Sequence[subprocess.Popen],
  received: Sequence[int],
  *,
  grace: float,
) -> dict[int, int]:
  """Waits for all; the codes of those that were killed here explain nothing."""
  codes, failed, passed_on, deadline = {}, {}, 0, float("inf")
  while len(codes) < len(processes):
    now = time.monotonic()
    for number in received[passed_on:]:
      passed_on += 1
      deadline = min(deadline, now + grace)
      _send(processes, number)
    for code in _ended(processes, codes):
      wait = grace if code == exit_codes.PREEMPTED else _SETTLE_SECONDS
      deadline = min(deadline, now + wait) if code else deadline
    if now > deadline:
      _LOGGER.warning("killing those that have not ended by themselves")
      failed = {number: code for number, code in codes.items() if code}
      _send(processes, signal.SIGKILL)
      deadline = float("inf")
    time.sleep(_POLL_SECONDS)
  return failed or codes


def _ended(
  processes: Sequence[subprocess.Popen], codes: dict[int, int]
) -> Iterator[int]:
  """Notes the exit codes of those that have ended since; yields them."""
  for number, process in enumerate(processes):
    if number not in codes and (status := process.poll()) is not None:
      codes[number] = exit_codes.code(status)
      yield codes[number]


def _send(processes: Sequence[subprocess.Popen], number: int) -> None:
  for process in processes:
    process.send_signal(number)  # nothing to those that have ended


def _kill(process: subprocess.Popen) -> None:
  """Ends a process and all that it has started."""
  with contextlib.suppress(ProcessLookupError):
    os.killpg(process.pid, signal.SIGKILL)
  process.wait()


def _explain(folder: Path, number: int, code: int) -> None:
  _LOGGER.warning("process %d %s", number, exit_codes.describe(code))
  if number and code != exit_codes.PREEMPTED:
    path = _log(folder, number)
    lines = path.read_text("utf-8", errors="replace").splitlines()
    shown = "".join(f"\n  {line}" for line in lines[-_SHOWN_LINES:])
    _LOGGER.warning("the end of %s:%s", path, shown)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[IO[bytes]]:
  """The lock of a folder, which nobody else may hold."""
  folder.mkdir(parents=True, exist_ok=True)
  with locks.locked(
    folder / "lock",
    refusal=f"{folder} is in use by {{holder}}; end what still runs there, or "
    "give another --workdir",
    unlockable=lambda why: _LOGGER.warning("%s is not locked: %s", folder, why),
  ) as lock:
    yield lock


def _note(lock: IO[bytes], processes: Sequence[subprocess.Popen]) -> None:
  numbers = " ".join(str(each.pid) for each in processes)
  locks.note(lock, locks.holder(f"processes {numbers}"))
