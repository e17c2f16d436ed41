"""Ahead-of-time compilation of the training step."""

from collections.abc import Callable
from typing import Any

import jax

from jaxvision import parallel
from jaxvision.training.loop import feed
from jaxvision.training.setup import Parts, as_traced
from jaxvision.training.step import TrainState, scan_steps, single_step

Tree = Any


def compile_step(
  parts: Parts,
) -> tuple[Callable[..., Any], Callable[..., Any], int | None]:
  """Compiles the step for the placement of the data.

  Args:
    parts: of the run.

  Returns:
    step: (state, batch) -> (state, sums with a leading axis of steps). The
      state is donated.
    feed: first step -> iterator of (step after the batch, batch).
    memory: of the step on one device, in bytes; None if unknown.
  """
  resident = parts.placement == "device"
  examples = (feed.put_resident(parts),) if resident else ()
  compiled = trace_step(parts, *examples).lower().compile()
  seed = jax.device_put(parts.seed, parallel.replicated(parts.mesh))
  others = (*examples, seed, *parts.task.constants)
  return (
    lambda state, batch: compiled(state, batch, *others),
    feed.feed_line_up(parts) if resident else feed.feed_batches(parts),
    _memory_bytes(compiled),
  )


def trace_step(parts: Parts, *examples: Tree) -> jax.stages.Traced:
  """The traced step, not compiled; its devices need not be attached.

  Args:
    parts: of the run. Its seed and the constants of its task are the last
      arguments of the step.
    *examples: the training split or its template, if the data are on the
      device.
  """
  if parts.placement == "device":
    steps, batch = _steps_of_line_up(parts), feed.line_up_template(parts)
  else:
    steps, batch = single_step(parts.step), parts.batch
  shardings = jax.tree.map(lambda leaf: leaf.sharding, parts.template)
  whole = parallel.replicated(parts.mesh)
  program = jax.jit(steps, donate_argnums=0, out_shardings=(shardings, whole))
  others = (*examples, parts.seed, *parts.task.constants)
  arguments = (parts.template, batch, *others)
  return program.trace(*as_traced(arguments, parts.mesh))


def _steps_of_line_up(
  parts: Parts,
) -> Callable[..., tuple[TrainState, Tree]]:
  """steps(state, line-up, examples, *others) -> (state, sums) of a call."""
  block = parts.steps_per_call
  platform = parts.mesh.devices.flat[0].platform
  paired = parts.batches["train"].partners is not None
  steps = scan_steps(parts.step, platform=platform, paired=paired)

  def find_and_take(state, line_up, examples, *others):
    first = state.step % len(line_up)
    indices = jax.lax.dynamic_slice_in_dim(line_up, first, block)
    return steps(state, indices, examples, *others)

  return find_and_take


def _memory_bytes(compiled: jax.stages.Compiled) -> int | None:
  """The memory of a compiled step per device, in bytes; None if unknown."""
  memory = compiled.memory_analysis()
  if memory is None:
    return None
  return int(
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  )
