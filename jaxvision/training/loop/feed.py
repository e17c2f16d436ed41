"""The stream of batches for the compiled step.

If the data are on the device, only the indices of the examples are sent. A
line-up contains the indices of about a thousand batches. The step selects its
own indices from the line-up.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxvision import parallel
from jaxvision.training.setup import Parts

Tree = Any

_LINE_UP_STEPS = 1024  # steps whose indices are sent together


def resident_template(parts: Parts) -> Tree:
  """The shapes of the training split, replicated on each device."""
  rows = parts.batches["train"].num_examples + 1
  whole = parallel.replicated(parts.mesh)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      (rows, *leaf.shape[1:]), leaf.dtype, sharding=whole
    ),
    {name: leaf for name, leaf in parts.batch.items() if name != "partner"},
  )


def put_resident(parts: Parts) -> Tree:
  """The training split, replicated on each device.

  Each process reads a part of the split.
  """
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


def _line_up_steps(parts: Parts) -> int:
  """Steps in a line-up, a multiple of the steps in a call."""
  block = parts.steps_per_call
  return block * max(1, min(_LINE_UP_STEPS, parts.steps.total) // block)


def line_up_template(parts: Parts) -> jax.ShapeDtypeStruct:
  """The shape of a line-up, (steps, batch size) int32, with its sharding.

  If the batches have partners, (steps, batch size, 2).
  """
  batches = parts.batches["train"]
  pair = (2,) if batches.partners else ()
  return jax.ShapeDtypeStruct(
    (_line_up_steps(parts), batches.batch_size, *pair),
    np.int32,
    sharding=parallel.batch_sharding(parts.mesh, axis=1),
  )


def feed_batches(
  parts: Parts,
) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step) -> the batches after this step, on the devices."""

  def feed(step: int):
    batches = parts.batches["train"].iterate(step, parts.steps.total)
    with contextlib.closing(batches):
      for number, batch in enumerate(batches, step + 1):
        yield number, parallel.put_batch(batch, parts.mesh)

  return feed


def feed_line_up(
  parts: Parts,
) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step) -> the line-up of each call; a line-up is sent once.

  Line-ups begin at multiples of their length, also in a resumed run.
  """
  block, length = parts.steps_per_call, _line_up_steps(parts)
  batches, total = parts.batches["train"], parts.steps.total
  rows = parallel.local_rows(parts.batches["train"].batch_size, parts.mesh)

  def feed(step: int):
    for start in range(step - step % length, total, length):
      stop = start + length
      indices = np.ascontiguousarray(batches.line_up(start, stop)[:, rows])
      line_up = parallel.put_batch(indices, parts.mesh, axis=1)
      for first in range(max(start, step), min(stop, total), block):
        yield first + block, line_up

  return feed
