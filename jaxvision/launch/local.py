"""The local launcher: runs all processes of a job on this machine.

Process 0 prints to the terminal, the others to FOLDER/process-N.log. When one
process fails, all stop: the others get a short time to end, then they are
killed together with their child processes. After an end by a signal, all
processes are restarted.
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
# After the first failure, the time in which the other processes can report
# errors.
_SETTLE_SECONDS = 10.0
# Lines of the log of a failed process that are shown.
_SHOWN_LINES = 20


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of the local launcher.

  Attributes:
    processes: number of processes.
    devices: virtual CPU devices per process; 0 uses the default of jax.
    gpus: GPUs per process, in the order of CUDA_VISIBLE_DEVICES if set, else
      from 0 on; 0 makes all GPUs visible to every process.
    restarts: maximum number of restarts.
    grace: seconds for saving after a signal.
  """

  processes: int
  devices: int = 0
  gpus: int = 0
  restarts: int = 3
  grace: int = 60


def render(job: jobs.Job, options: Options) -> jobs.Rendered:
  """One command for each process, with a port that is free at this time.

  Raises:
    ValueError: devices and gpus are both given, or CUDA_VISIBLE_DEVICES has
      fewer GPUs than all processes need.
  """
  if options.devices and options.gpus:
    raise ValueError(
      f"--devices {options.devices} selects virtual CPU devices and --gpus "
      f"{options.gpus} selects GPUs; give only one of them"
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
  """Runs the job until it ends; forwards SIGTERM and SIGINT to the processes.

  Returns:
    The exit code of the process that caused the end of the run.

  Raises:
    ValueError: processes of an earlier launch still run, or see `render`.
    OSError: the folder cannot be written.
  """
  with _locked(job.folder) as lock, signals.received() as received:
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
          _LOGGER.error(
            "the limit of --restarts %d is reached", options.restarts
          )
        return code
      _LOGGER.warning(
        "restarting all %d processes: restart %d of %d",
        options.processes,
        attempt,
        options.restarts,
      )
  raise AssertionError("unreachable: the loop has no end")


def _allotted_gpus(count: int) -> list[str]:
  """The first `count` visible GPUs, with their names in CUDA_VISIBLE_DEVICES.

  Raises:
    ValueError: fewer GPUs are visible.
  """
  given = os.environ.get(_VISIBLE)
  if given is None:
    return [str(number) for number in range(count)]
  # CUDA reads the list up to the first name that is not a device.
  visible = itertools.takewhile(
    lambda name: name[:1].isalnum() and name != "NoDevFiles",
    map(str.strip, given.split(",")),
  )
  gpus = list(dict.fromkeys(visible))[:count]  # Duplicates count once.
  if len(gpus) < count:
    raise ValueError(
      f"{_VISIBLE}={given} makes {len(gpus)} GPUs visible, but all processes "
      f"together need {count}; give fewer --processes or --gpus, or make more "
      "GPUs visible"
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
  """Starts all processes; returns exit codes in the order of their ends."""
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
          # Ctrl-C in a terminal reaches only this process, which forwards it.
          start_new_session=True,
          # The lock is held until all processes have ended, even if this one
          # ends earlier.
          pass_fds=(lock.fileno(),),
        )
      )
      stack.callback(_kill, processes[-1])
    _note(lock, processes)
    return _wait(processes, received, grace=options.grace)


def _wait(
  processes: Sequence[subprocess.Popen],
  received: Sequence[int],
  *,
  grace: float,
) -> dict[int, int]:
  """Waits for all processes; returns the exit codes that explain the end.

  After a kill, these are the codes of the processes that failed before it.
  """
  codes, failed, forwarded, deadline = {}, {}, 0, float("inf")
  while len(codes) < len(processes):
    now = time.monotonic()
    for number in received[forwarded:]:
      forwarded += 1
      deadline = min(deadline, now + grace)
      _send(processes, number)
    for code in _ended(processes, codes):
      wait = grace if code == exit_codes.PREEMPTED else _SETTLE_SECONDS
      deadline = min(deadline, now + wait) if code else deadline
    if now > deadline:
      _LOGGER.warning("killing the processes that have not ended in time")
      failed = {number: code for number, code in codes.items() if code}
      _send(processes, signal.SIGKILL)
      deadline = float("inf")
    time.sleep(_POLL_SECONDS)
  return failed or codes


def _ended(
  processes: Sequence[subprocess.Popen], codes: dict[int, int]
) -> Iterator[int]:
  """Adds the exit codes of newly ended processes to `codes`; yields them."""
  for number, process in enumerate(processes):
    if number not in codes and (status := process.poll()) is not None:
      codes[number] = exit_codes.code(status)
      yield codes[number]


def _send(processes: Sequence[subprocess.Popen], number: int) -> None:
  for process in processes:
    process.send_signal(number)  # has no effect on ended processes


def _kill(process: subprocess.Popen) -> None:
  """Kills a process and its child processes."""
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
def _locked(folder: Path) -> Iterator[IO[bytes]]:
  """Holds the lock of a folder against other launches."""
  folder.mkdir(parents=True, exist_ok=True)
  with locks.locked(
    folder / "lock",
    refusal=f"{folder} is in use by {{holder}}; end these processes, or give "
    "another --workdir",
    unlockable=lambda why: _LOGGER.warning("%s is not locked: %s", folder, why),
  ) as lock:
    yield lock


def _note(lock: IO[bytes], processes: Sequence[subprocess.Popen]) -> None:
  numbers = " ".join(str(each.pid) for each in processes)
  locks.note(lock, locks.holder(f"processes {numbers}"))
