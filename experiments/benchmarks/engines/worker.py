"""The process of one engine: builds a network and runs steps on command.

  python worker.py '{"framework": "torch", ...}'

It reads a command per line from stdin, and answers each with a line of JSON:
"build" initialises the weights, a number runs this number of steps, "describe"
returns counts. It ends at the end of stdin. The first line, before any command,
states that the framework is loaded, and the device.

A framework is a file in this folder, such as in_torch.py, with three functions:

  start(job) -> {"device": name, "versions": {package: version}}
  build(job) -> (step(number) -> value, describe() -> {"parameters": number})
  device_peak() -> peak of the used bytes of a GPU; None without a GPU

step waits for the device. Its value is that of the last step: the loss, or the
mean of the logits.
"""

import importlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO


def resident(field: str) -> int | None:
  """Returns a field of /proc/self/status in bytes; None if it is missing.

  Args:
    field: "VmRSS", resident memory, or "VmHWM", its peak.
  """
  status = pathlib.Path("/proc/self/status")
  if not status.exists():
    return None
  for line in status.read_text().splitlines():
    if line.startswith(f"{field}:"):
      return 1024 * int(line.split()[1])
  return None


def forget_peak() -> None:
  """Resets "VmHWM" to the current resident memory."""
  file = pathlib.Path("/proc/self/clear_refs")
  if file.exists():
    file.write_text("5")


def busy_seconds() -> float:
  """Returns the busy time of the cores for all processes; 0 if unknown."""
  file = pathlib.Path("/proc/stat")
  if not file.exists():
    return 0.0
  ticks = [int(word) for word in file.read_text().split()[1:9]]
  idle = sum(ticks[3:5])  # waiting for a disk is idle too
  return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def serve(
  engine: Any,
  job: Mapping[str, Any],
  commands: TextIO,
  answer: Callable[[Mapping[str, Any]], None],
) -> None:
  """Answers all commands.

  Args:
    engine: a module with the functions that this file's docstring lists.
    job: its input.
    commands: one per line.
    answer: called with each answer.

  Raises:
    FloatingPointError: a value is not finite.
  """
  answer(engine.start(job))
  before = resident("VmRSS")
  step = describe = None
  for command in map(str.strip, commands):
    if command == "describe":
      answer(describe())
      continue
    forget_peak()
    others = busy_seconds() - time.process_time()
    begin, value = time.perf_counter(), 0.0
    if command == "build":
      step, describe = engine.build(job)
    else:
      value = step(int(command))
    seconds = time.perf_counter() - begin
    if not math.isfinite(value):
      raise FloatingPointError(f"the value of the last step is {value}")
    peak = engine.device_peak()
    if peak is None and before is not None:
      peak = resident("VmHWM") - before
    others = (busy_seconds() - time.process_time() - others) / seconds
    answer({"seconds": seconds, "peak_bytes": peak, "other_cores": others})


def main() -> None:
  """Serves the job of the command line."""
  job = json.loads(sys.argv[1])
  # The output of libraries must not be mixed with the answers.
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)

  def answer(values: Mapping[str, Any]) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()

  engine = importlib.import_module(f"in_{job['framework']}")
  serve(engine, job, sys.stdin, answer)


if __name__ == "__main__":
  main()
