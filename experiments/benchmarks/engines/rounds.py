"""Engines in separate processes that take turns."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

Job = Mapping[str, Any]
Answer = dict[str, Any]

# Without this glibc returns large buffers to the system at every step.
TUNED = (
  "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=34359738368"
  ":glibc.malloc.arena_max=1"
)
# The first step must compile. JAX must leave memory of a GPU to the others. The
# last line of a traceback must be the error.
_ENVIRONMENT = {
  "JAX_ENABLE_COMPILATION_CACHE": "false",
  "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
  "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.3",
  "JAX_TRACEBACK_FILTERING": "off",
}
_WORKER = pathlib.Path(__file__).with_name("worker.py")


class Stopped(Exception):
  """A worker ended before it answered."""


@dataclasses.dataclass(frozen=True)
class Worker:
  """A process that runs one engine on one network; worker.py.

  Attributes:
    process: reads a command per line, and answers with a line of JSON.
    errors: its stderr.
  """

  process: subprocess.Popen
  errors: IO[str]


@dataclasses.dataclass(frozen=True)
class Result:
  """The measurements of one engine on one network in one mode.

  Attributes:
    engine: its name.
    facts: of its worker: device, versions, parameters, flops.
    init: seconds of each initialisation of the weights.
    first_step: seconds; None without a step.
    step: seconds per step, of each round.
    peak_bytes: peak memory of all rounds; None if unknown.
    other_cores: number of cores that other processes used, in each round.
  """

  engine: str
  facts: Mapping[str, Any]
  init: Sequence[float]
  first_step: float | None = None
  step: Sequence[float] = ()
  peak_bytes: int | None = None
  other_cores: Sequence[float] = ()


@contextlib.contextmanager
def open_worker(job: Job) -> Iterator[Worker]:
  """Starts a process for a job; ends it on exit."""
  environment = {**_ENVIRONMENT, **os.environ}
  if "tuned" in job["options"]:
    environment["GLIBC_TUNABLES"] = TUNED
  with (
    tempfile.TemporaryFile("w+") as errors,
    subprocess.Popen(
      [sys.executable, str(_WORKER), json.dumps(job)],
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=errors,
      text=True,
    ) as process,
  ):
    try:
      yield Worker(process, errors)
    finally:
      process.kill()


def ask(worker: Worker, command: str = "") -> Answer:
  """Sends a command, if there is one, and returns the answer.

  Raises:
    Stopped: the worker ended without an answer; has its last output.
  """
  with contextlib.suppress(BrokenPipeError):
    if command:
      worker.process.stdin.write(f"{command}\n")
      worker.process.stdin.flush()
  line = worker.process.stdout.readline()
  if line:
    return json.loads(line)
  code = worker.process.wait()
  worker.errors.seek(0)
  written = worker.errors.read().strip().splitlines()
  raise Stopped(written[-1] if written else f"exit code {code}")


def ask_all(workers: dict[str, Worker], command: str = "") -> dict[str, Answer]:
  """Sends a command to each worker in turn; removes stopped workers."""
  answers = {}
  for engine, worker in list(workers.items()):
    try:
      answers[engine] = ask(worker, command)
    except Stopped as error:
      print(f"{engine} stopped: {error}", file=sys.stderr)
      del workers[engine]
  return answers


def measure(
  jobs: Mapping[str, Job], *, rounds: int, block_seconds: float
) -> list[Result]:
  """Returns the result of each engine that did not stop.

  Args:
    jobs: by engine.
    rounds: number of blocks of each.
    block_seconds: approximate time of a block of the fastest engine. All
      blocks have the same number of steps, at least one.
  """
  with contextlib.ExitStack() as stack:
    workers = {
      engine: stack.enter_context(open_worker(job))
      for engine, job in jobs.items()
    }
    started = ask_all(workers)
    built = ask_all(workers, "build")
    first = ask_all(workers, "1")
    second = ask_all(workers, "1")
    fastest = min((each["seconds"] for each in second.values()), default=1.0)
    steps = max(1, round(block_seconds / fastest))
    blocks = [ask_all(workers, str(steps)) for _ in range(rounds)]
    facts = ask_all(workers, "describe")
    return [
      Result(
        engine=engine,
        facts={**started[engine], **facts[engine]},
        init=[built[engine]["seconds"]],
        first_step=first[engine]["seconds"],
        step=[block[engine]["seconds"] / steps for block in blocks],
        peak_bytes=_largest([block[engine]["peak_bytes"] for block in blocks]),
        other_cores=[block[engine]["other_cores"] for block in blocks],
      )
      for engine in workers
    ]


def _largest(values: Sequence[int | None]) -> int | None:
  return max((value for value in values if value is not None), default=None)


def measure_init(jobs: Mapping[str, Job], *, rounds: int) -> list[Result]:
  """Measures initialisation only, with new processes in each round."""
  facts, seconds = {}, {engine: [] for engine in jobs}
  for _ in range(rounds):
    for engine, job in jobs.items():
      with open_worker(job) as worker:
        workers = {engine: worker}
        commands = ("", "build", "describe")
        answers = [ask_all(workers, command) for command in commands]
      if workers:
        started, built, described = (each[engine] for each in answers)
        facts[engine] = {**started, **described}
        seconds[engine].append(built["seconds"])
  return [Result(each, facts[each], init=seconds[each]) for each in facts]
