"""The compiled step and the stream of what it is fed.

With the data on the device, so is the line-up of the examples: the numbers of
those in the next thousand batches are sent at once, and the step finds its own
among them. Between two such, the host sends nothing.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxvision import parallel
from jaxvision.training.setup import assembly
from jaxvision.training.step import forward, train_step

Tree = Any

_LINE_UP_STEPS = 1024  # of which the examples' numbers are sent at once


def compile_step(
  parts: assembly.Parts,
) -> tuple[Callable[..., Any], Callable[..., Any], int | None]:
  """Compiles the step ahead of time, for what the config says of the data.

  Args:
    parts: of the run.

  Returns:
    step(state, batch) -> (state, sums with a leading axis of steps), with the
    state donated; feed(first step) -> iterator of (step after it, batch); the
    memory that the step needs on a device, in bytes, or None.
  """
  resident = parts.config.data.placement == "device"
  constants = (_put_resident(parts),) if resident else ()
  compiled = trace_step(parts, *constants).lower().compile()
  return (
    lambda state, batch: compiled(state, batch, *constants),
    _feed_line_up(parts) if resident else _feed_batches(parts),
    _memory_bytes(compiled),
  )


def trace_step(parts: assembly.Parts, *constants: Tree) -> jax.stages.Traced:
  """The step before it is compiled; its devices need not be here.

  Args:
    parts: of the run.
    *constants: what it takes besides state and batch, or its template: where
      data.placement is "device", the training split.
  """
  step = train_step.make_train_step(
    forward.make_task_loss(parts.config, parts.model, mesh=parts.mesh),
    parts.optimizer,
    seed=parts.config.seed,
    ema_decay=parts.config.ema.decay,
    accumulate=parts.config.train.accumulate,
    platform=parts.mesh.devices.flat[0].platform,
  )
  if parts.config.data.placement == "device":
    steps = _steps_of_line_up(step, parts)
    batch = _line_up_template(parts)
  else:
    steps = train_step.single_step(step)
    batch = assembly.batch_template(parts.config, parts.image_shape, parts.mesh)
  shardings = jax.tree.map(lambda leaf: leaf.sharding, parts.template)
  whole = parallel.replicated(parts.mesh)
  program = jax.jit(steps, donate_argnums=0, out_shardings=(shardings, whole))
  return program.trace(parts.template, batch, *constants)


def resident_template(parts: assembly.Parts) -> Tree:
  """The shapes of the training split where it lies on each device, whole."""
  rows = parts.batches["train"].num_examples + 1
  whole = parallel.replicated(parts.mesh)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      (rows, *leaf.shape[1:]), leaf.dtype, sharding=whole
    ),
    assembly.batch_template(parts.config, parts.image_shape, parts.mesh),
  )


def _put_resident(parts: assembly.Parts) -> Tree:
  """The training split, whole on each device; a process reads a part of it."""
  batches, mesh = parts.batches["train"], parts.mesh
  whole = parallel.replicated(mesh)
  if jax.process_count() == 1:
    return jax.device_put(batches.resident(), whole)
  padding = batches.num_examples
  rows = np.arange(-(-(padding + 1) // mesh.size) * mesh.size)
  own = rows[parallel.local_rows(len(rows), mesh)]
  spread = parallel.put_batch(batches.resident(np.minimum(own, padding)), mesh)
  first = functools.partial(jax.tree.map, lambda each: each[: padding + 1])
  return jax.jit(first, out_shardings=whole)(spread)


def _steps_of_line_up(
  step: Callable[
    [train_step.TrainState, Tree], tuple[train_step.TrainState, Tree]
  ],
  parts: assembly.Parts,
) -> Callable[..., tuple[train_step.TrainState, Tree]]:
  """steps(state, line-up, examples): those of a call, from the state's on."""
  block = parts.config.train.steps_per_dispatch
  platform = parts.mesh.devices.flat[0].platform
  steps = train_step.scan_steps(step, platform=platform)

  def find_and_take(state, line_up, examples):
    first = state.step % len(line_up)
    indices = jax.lax.dynamic_slice_in_dim(line_up, first, block)
    return steps(state, indices, examples)

  return find_and_take


def _line_up_steps(parts: assembly.Parts) -> int:
  """Steps in a line-up: a multiple of those in a call."""
  block = parts.config.train.steps_per_dispatch
  return block * max(1, min(_LINE_UP_STEPS, parts.steps.total) // block)


def _line_up_template(parts: assembly.Parts) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(
    (_line_up_steps(parts), parts.config.train.batch_size),
    np.int32,
    sharding=parallel.batch_sharding(parts.mesh, axis=1),
  )


def _feed_batches(
  parts: assembly.Parts,
) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step): the batches from there to the end, sent to the devices."""

  def feed(step: int):
    batches = parts.batches["train"].iterate(step, parts.steps.total)
    with contextlib.closing(batches):
      for number, batch in enumerate(batches, step + 1):
        yield number, parallel.put_batch(batch, parts.mesh)

  return feed


def _feed_line_up(
  parts: assembly.Parts,
) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step): the line-up that the step is in, sent once.

  Line-ups begin at multiples of their length, wherever the run begins.
  """
  block, length = parts.config.train.steps_per_dispatch, _line_up_steps(parts)
  batches, total = parts.batches["train"], parts.steps.total
  rows = parallel.local_rows(parts.config.train.batch_size, parts.mesh)

  def feed(step: int):
    for start in range(step - step % length, total, length):
      stop = start + length
      indices = np.ascontiguousarray(batches.line_up(start, stop)[:, rows])
      line_up = parallel.put_batch(indices, parts.mesh, axis=1)
      for first in range(max(start, step), min(stop, total), block):
        yield first + block, line_up

  return feed


def _memory_bytes(compiled: jax.stages.Compiled) -> int | None:
  """What a compiled step needs per device, if the backend tells."""
  memory = compiled.memory_analysis()
  if memory is None:
    return None
  return int(
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  )
