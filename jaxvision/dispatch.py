"""The compiled step and the stream of what it is fed."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxvision import assembly, distributed, train_step

Tree = Any


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
  step = train_step.make_train_step(
    assembly.make_task_loss(parts.config, parts.model),
    parts.optimizer,
    seed=parts.config.seed,
    ema_decay=parts.config.ema.decay,
  )
  whole = distributed.replicated(parts.mesh)
  if parts.config.data.placement == "device":
    resident = parts.batches["train"].resident()
    constants = (jax.device_put(resident, whole),)
    steps, feed = train_step.scan_steps(step), _feed_indices(parts)
    batch = _indices_template(parts)
  else:
    constants = ()
    steps, feed = train_step.single_step(step), _feed_batches(parts)
    batch = assembly.batch_template(parts.config, parts.image_shape, parts.mesh)
  program = jax.jit(steps, donate_argnums=0, out_shardings=whole)
  compiled = program.lower(parts.template, batch, *constants).compile()
  return (
    lambda state, batch: compiled(state, batch, *constants),
    feed,
    _memory_bytes(compiled),
  )


def _indices_template(parts: assembly.Parts) -> jax.ShapeDtypeStruct:
  train = parts.config.train
  return jax.ShapeDtypeStruct(
    (train.steps_per_dispatch, train.batch_size),
    np.int32,
    sharding=distributed.batch_sharding(parts.mesh, axis=1),
  )


def _feed_batches(
  parts: assembly.Parts,
) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step): the batches from there to the end, sent to the devices."""

  def feed(step: int):
    batches = parts.batches["train"].iterate(step, parts.steps.total)
    with contextlib.closing(batches):
      for number, batch in enumerate(batches, step + 1):
        yield number, distributed.put_batch(batch, parts.mesh)

  return feed


def _feed_indices(
  parts: assembly.Parts,
) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step): indices (k, b) of the examples, which the devices hold."""
  block = parts.config.train.steps_per_dispatch
  rows = distributed.local_rows(parts.config.train.batch_size)

  def feed(step: int):
    for first in range(step, parts.steps.total, block):
      steps = range(first, first + block)
      indices = [parts.batches["train"].indices(s)[rows] for s in steps]
      stacked = np.stack(indices).astype(np.int32)
      yield first + block, distributed.put_batch(stacked, parts.mesh, axis=1)

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
