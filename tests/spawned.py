"""`jaxvision` commands as separate processes, which tests kill or stop.

They are forked from a server that has imported all modules and done nothing
else, so a start does not repeat the imports. Each command is a complete
process with its own devices, signals and open files.
"""

import atexit
import dataclasses
import json
import multiprocessing
import os
import pathlib
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from jaxvision import cli, data

_ROOT = pathlib.Path(__file__).parents[1]
_TIMEOUT = 120.0
# Keys that differ between two equal runs.
_TIMES = (
  "seconds",
  "images_per_second",
  "step_seconds_p50",
  "step_seconds_p95",
  "data_wait",
  "saving_seconds",
  "goodput",
  "mfu",
)

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
  [
    "spawned",
    "jaxvision.training.run",
    "matplotlib.pyplot",
    "rich.progress",
  ]
)


@dataclasses.dataclass(frozen=True)
class Command:
  """A started command.

  Attributes:
    process: the running process.
    output: the file with its output.
  """

  process: multiprocessing.Process
  output: pathlib.Path

  def wait(self) -> int:
    """The exit code; the negative signal number after an end by a signal."""
    self.process.join(_TIMEOUT)
    assert self.process.exitcode is not None, self.output.read_text()
    return self.process.exitcode

  def signal_when(self, number: int, condition: Callable[[], object]) -> None:
    """Sends a signal as soon as the condition is true."""
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
      assert self.process.is_alive(), self.output.read_text()
      assert time.monotonic() < deadline, self.output.read_text()
      time.sleep(0.0005)
    os.kill(self.process.pid, number)

  def end_when(self, number: int, condition: Callable[[], object]) -> int:
    """Sends a signal as soon as the condition is true; the exit code."""
    self.signal_when(number, condition)
    return self.wait()


def start(
  arguments: Sequence[str],
  *,
  output: pathlib.Path,
  devices: int = 1,
  variables: Mapping[str, str] | None = None,
) -> Command:
  """Starts `jaxvision ARGUMENTS` on virtual CPU devices.

  The variables are added to the current environment, because the server has the
  environment of its own start.
  """
  environment = {**os.environ, **(variables or {})}
  process = _SERVER.Process(
    target=_command,
    args=(list(arguments), str(output), devices, environment),
    daemon=True,
  )
  process.start()
  return Command(process, output)


def start_group(
  arguments: Sequence[Sequence[str]],
  *,
  output: pathlib.Path,
  devices: int = 1,
  variables: Mapping[str, str] | None = None,
) -> list[Command]:
  """Starts processes of one run, each with its own `jaxvision ARGUMENTS`.

  If `output` is "output.txt", process 3 writes to "output_3.txt". A process
  without arguments is not started.
  """
  with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
  return [
    start(
      each,
      output=output.with_name(f"{output.stem}_{number}{output.suffix}"),
      devices=devices,
      variables={
        "JAXVISION_COORDINATOR": f"127.0.0.1:{port}",
        "JAXVISION_NUM_PROCESSES": str(len(arguments)),
        "JAXVISION_PROCESS_ID": str(number),
        "JAXVISION_HEARTBEAT_TIMEOUT": "20",
        **(variables or {}),
      },
    )
    for number, each in enumerate(arguments)
    if each
  ]


def _command(
  arguments: list[str], output: str, devices: int, environment: dict[str, str]
) -> None:
  os.environ.clear()
  os.environ.update(environment)
  import jax

  file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  os.dup2(file, 1)
  os.dup2(file, 2)
  jax.config.update("jax_num_cpu_devices", devices)
  try:
    code = cli.main(arguments)
  except Exception:
    sys.excepthook(*sys.exc_info())
    code = 1
  # Forked processes leave it out, and it is where jax waits for the others.
  atexit._run_exitfuncs()
  sys.exit(code)


def prepared_digits() -> str:
  """The directory with the data set digits, prepared once for all tests."""
  directory = _ROOT / ".cache" / "tensorflow_datasets"
  data.prepare("digits", data_dir=directory)
  return str(directory)


def recipe(name: str) -> str:
  """The path of a recipe in configs/, independent of the current folder."""
  return str(_ROOT / "configs" / name)


def result(workdir: pathlib.Path) -> dict:
  """result.json of a run."""
  return json.loads((workdir / "result.json").read_text())


def measured(workdir: pathlib.Path) -> list[dict[str, float]]:
  """metrics.jsonl without the times."""
  path = workdir / "metrics.jsonl"
  lines = path.read_text().splitlines() if path.exists() else []
  return [
    {k: v for k, v in json.loads(line).items() if k not in _TIMES}
    for line in lines
  ]
