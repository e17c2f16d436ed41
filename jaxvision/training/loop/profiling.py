"""A trace of some steps, for a viewer: WORKDIR/profile.

  pip install xprof; xprof --logdir WORKDIR/profile

or TensorBoard with the same package. It shows what the devices and the threads
of the host did, step by step.
"""

import contextlib
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax

Step = Callable[[Any, Any], tuple[Any, Any]]


def parse(text: str) -> range:
  """range(10, 15) of "steps=10:15", which begins when 10 steps were taken.

  Raises:
    ValueError: it says something else.
  """
  found = re.fullmatch(r"steps=(\d+):(\d+)", text)
  steps = range(*map(int, found.groups())) if found else range(0)
  if not steps:
    raise ValueError(
      f"--profile {text} names no steps; as in --profile steps=10:15, which "
      "are the five after step 10"
    )
  return steps


@contextlib.contextmanager
def traced(
  step: Step, *, steps: range, first: int, block: int, folder: pathlib.Path
) -> Iterator[Step]:
  """Gives the same step, which writes a trace while it is at `steps`.

  Args:
    step: (state, batch) -> (state, sums), `block` steps in one call.
    steps: begins and ends with the calls that contain its ends; where there are
      none, the step is given as it is.
    first: how many steps were taken before the first call.
    block: steps in a call.
    folder: the trace goes into its subfolder plugins/profile.
  """
  if not steps:
    yield step
    return
  taken, tracing = first, False

  def traced_step(state: Any, batch: Any) -> tuple[Any, Any]:
    nonlocal taken, tracing
    if not tracing and taken < steps.stop and taken + block > steps.start:
      # What was sent before belongs to other steps.
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
