"""The process of one engine: builds a network and steps when it is told to.

  python worker.py '{"framework": "torch", ...}'

Reads a command a line from stdin and answers each with a line of JSON: "build"
makes the weights, a number makes so many steps, "describe" counts. Ends with
its stdin. The first line, before any command, says that the framework is
loaded, and on what device.

A framework is a file here, in_torch.py for one, with three functions:

  start(job) -> {"device": name, "versions": {package: version}}
  build(job) -> (step(number) -> value, describe() -> {"parameters": number})
  device_peak() -> most bytes that were in use on a GPU; None without one

where step waits for the device, and its value is that of the last step: the
loss, or the mean of the logits.
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
  """Returns a field of /proc/self/status in bytes; None where there is none.

  Args:
    field: "VmRSS", what is resident, or "VmHWM", the most that was.
  """
  status = pathlib.Path("/proc/self/status")
  if not status.exists():
    return None
  for line in status.read_text().splitlines():
    if line.startswith(f"{field}:"):
      return 1024 * int(line.split()[1])
  return None


def forget_peak() -> None:
  """Lets "VmHWM" start anew from what is resident now."""
  file = pathlib.Path("/proc/self/clear_refs")
  if file.exists():
    file.write_text("5")


def busy_seconds() -> float:
  """Returns what the cores have worked for all processes; 0 if unknown."""
  file = pathlib.Path("/proc/stat")
  if not file.exists():
    return 0.0
  ticks = [int(word) for word in file.read_text().split()[1:9]]
  idle = sum(ticks[3:5])  # and waiting for a disk
  return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def serve(
  engine: Any,
  job: Mapping[str, Any],
  commands: TextIO,
  answer: Callable[[Mapping[str, Any]], None],
) -> None:
  """Answers all commands.

  Args:
    engine: a module as the docstring of this file has it.
    job: what it is given.
    commands: one a line.
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
  # What libraries print must not come between the answers.
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)

  def answer(values: Mapping[str, Any]) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()

  engine = importlib.import_module(f"in_{job['framework']}")
  serve(engine, job, sys.stdin, answer)


if __name__ == "__main__":
  main()
