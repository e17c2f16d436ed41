"""A profiler trace of some steps, in WORKDIR/profile.

It shows the activity of the devices and of the host threads, step by step. View
it with

  pip install xprof; xprof --logdir WORKDIR/profile

or with TensorBoard and the same package.
"""

import contextlib
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax

Step = Callable[[Any, Any], tuple[Any, Any]]


def parse(text: str) -> range:
  """Parses the steps to trace: "steps=10:15" is range(10, 15).

  The trace begins after 10 steps.

  Raises:
    ValueError: the text has another form, or the range is empty.
  """
  found = re.fullmatch(r"steps=(\d+):(\d+)", text)
  steps = range(*map(int, found.groups())) if found else range(0)
  if not steps:
    raise ValueError(
      f"--profile {text} is not a range of steps; expected a form such as "
      "--profile steps=10:15, the five steps after step 10"
    )
  return steps


@contextlib.contextmanager
def traced(
  step: Step, *, steps: range, first: int, block: int, folder: pathlib.Path
) -> Iterator[Step]:
  """A context with the same step, which writes a trace of `steps`.

  Args:
    step: (state, batch) -> (state, sums), `block` steps in one call.
    steps: to trace; all calls that contain one of them are traced. If it is
      empty, the step is returned unchanged.
    first: number of steps before the first call.
    block: steps in a call.
    folder: the trace is written into its subfolder plugins/profile.
  """
  if not steps:
    yield step
    return
  taken, tracing = first, False

  def traced_step(state: Any, batch: Any) -> tuple[Any, Any]:
    nonlocal taken, tracing
    if not tracing and taken < steps.stop and taken + block > steps.start:
      # Work that is still queued belongs to earlier steps.
      jax.block_until_ready(state)
      jax.profiler.start_trace(folder)
      tracing = True
    with jax.profiler.StepTraceAnnotation("train", step_num=taken):
      state, sums = step(state, batch)
    taken += block
    if tracing and taken >= steps.stop:
      jax.block_until_ready(sums)
      jax.profiler.stop_trace()
      tracing = False
    return state, sums

  try:
    yield traced_step
  finally:
    if tracing:
      jax.profiler.stop_trace()
