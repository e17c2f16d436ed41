"""The evaluation of a task on a complete split, each example exactly once."""

import dataclasses
import functools
import heapq
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jaxvision import data, parallel
from jaxvision.metrics import Evaluation, Example, Outputs, add

Tree = Any
MOST_EXAMPLES = 24
# (outputs, batch) of numpy arrays -> (scores (b,), answers (b, ...))
Rank = Callable[[np.ndarray, Tree], tuple[np.ndarray, np.ndarray]]


def make_evaluator(
  evaluate_batch: Callable[..., tuple[Tree, jax.Array]],
  batches: data.Batches,
  mesh: Mesh,
  *,
  finish: Callable[[Tree], dict[str, float]],
  rank: Rank,
  merge: Callable[[Tree, Tree], Tree] = add,
  placement: str = "host",
  constants: tuple[Tree, ...] = (),
  interruptible: Callable[[Iterator[Tree]], Iterator[Tree]] = iter,
) -> Callable[..., Evaluation]:
  """Makes evaluate(variables, limit=None, keep=0) -> Evaluation.

  The evaluation ends after `limit` batches; None means all batches. With
  `keep`, it returns the outputs for evenly spaced examples, in all at most
  about `keep` numbers.

  Args:
    evaluate_batch: (variables, batch, *constants) -> (sums, outputs (b, ...)).
    batches: a split in order; its last batch is padded with mask 0.
    mesh: of the variables.
    finish: sums -> metrics by name.
      rank: the scores of the examples that the report may show, the highest
      first; a score that is not finite excludes an example.
    merge: (sums, sums) of numpy arrays -> the sums over the examples of both.
    placement: "host" makes and sends the batches for each evaluation, "device"
      for the first one only; then they stay, divided over the devices.
    constants: of the task.
    interruptible: iterates over the batches; an exception of it ends the
      evaluation.

  Raises:
    ValueError: the split is too large to stay on the device.
  """
  feed = functools.partial(_feed, batches, mesh)
  if placement == "device":
    batches.check_resident()
    resident = functools.cache(lambda: tuple(_feed(batches, mesh, None)))
    feed = lambda limit: resident()[:limit]  # noqa: E731
  measure = jax.jit(evaluate_batch, out_shardings=parallel.replicated(mesh))
  rows = np.arange(batches.batch_size)[batches.rows]

  def evaluate(
    variables: Tree, limit: int | None = None, keep: int = 0
  ) -> Evaluation:
    total, best, kept, pending = None, [], [], None
    for number, (batch, on_devices) in enumerate(interruptible(feed(limit))):
      measured = measure(variables, on_devices, *constants)
      # Reads the results of the previous batch during the current computation.
      if pending:
        total = _collect(total, best, rank, merge, *pending)
        _keep_outputs(kept, keep, batches.num_examples, *pending)
      positions = number * batches.batch_size + rows
      pending = (positions, batch, measured)
    total = _collect(total, best, rank, merge, *pending)
    _keep_outputs(kept, keep, batches.num_examples, *pending)
    examples = _of_all_processes(
      [item[2] for item in best], rank, batch, _own(measured, positions)
    )
    examples.sort(key=lambda each: (-each.score, each.position))
    return Evaluation(
      metrics=finish(total),
      sums=total,
      examples=tuple(examples[:MOST_EXAMPLES]),
      outputs=_outputs_of_all_processes(kept) if keep else None,
    )

  return evaluate


def _feed(
  batches: data.Batches, mesh: Mesh, limit: int | None
) -> Iterator[tuple[Tree, Tree]]:
  """Each batch: the rows of this process, and the batch on the devices."""
  for batch in batches.iterate(0, limit or batches.num_batches):
    yield batch, parallel.put_batch(batch, mesh)


def _collect(
  total, best, rank: Rank, merge, positions, batch, measured
) -> Tree:
  """Adds a batch to the sums and keeps the examples with the highest scores."""
  sums = jax.tree.map(_widen, jax.device_get(measured[0]))
  scores, answers = rank(_own(measured, positions), batch)
  _keep_examples(best, scores, answers, batch, positions)
  if total is None:
    return sums
  return merge(total, sums)


def _own(measured, positions: np.ndarray) -> np.ndarray:
  """The outputs of this process's rows of a batch."""
  outputs = jax.device_get(measured[1])
  return outputs[positions % len(outputs)]


def _widen(array: np.ndarray) -> np.ndarray:
  """The array in 64 bits, so that the counts of many batches stay exact.

  Bytes, such as those of texts, are not counts.
  """
  if array.dtype == np.uint8:
    return array
  kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
  return np.asarray(array, kind)


def _keep_examples(
  best, scores: np.ndarray, answers: np.ndarray, batch, positions: np.ndarray
) -> None:
  """Updates a heap of (score, -position, Example) in place.

  Images are copied: a view would keep the complete batch in memory.
  """
  found = np.flatnonzero(np.isfinite(scores) & (batch["mask"] > 0))
  order = np.argsort(-scores[found], kind="stable")
  for i in found[order[:MOST_EXAMPLES]]:
    example = Example(
      score=float(scores[i]),
      position=int(positions[i]),
      label=batch["label"][i].copy(),
      answer=answers[i].copy(),
      image=batch["image"][i].copy(),
    )
    item = (example.score, -example.position, example)
    if len(best) < MOST_EXAMPLES:
      heapq.heappush(best, item)
    else:
      heapq.heappushpop(best, item)


def _keep_outputs(
  kept: list[Outputs], most: int, num_examples: int, positions, batch, measured
) -> None:
  """Adds the outputs of a batch for every s-th example of the split.

  s is the smallest number that keeps at most `most` numbers. Images that could
  not be read have no outputs.
  """
  if not most:
    return
  outputs = _own(measured, positions)
  apart = max(1, math.ceil(num_examples * outputs[0].size / most))
  found = np.flatnonzero((batch["mask"] > 0) & (positions % apart == 0))
  kept.append(
    Outputs(
      positions=positions[found].astype(np.int64),
      labels=batch["label"][found],
      outputs=np.asarray(outputs[found], np.float32),
    )
  )


def _outputs_of_all_processes(kept: list[Outputs]) -> Outputs:
  """The outputs of all processes by position, without duplicates."""
  columns = [
    np.concatenate([getattr(each, field.name) for each in kept])
    for field in dataclasses.fields(Outputs)
  ]
  if jax.process_count() > 1:
    columns = _gather_ragged(columns)
  _, first = np.unique(columns[0], return_index=True)
  return Outputs(*(column[first] for column in columns))


def _gather_ragged(columns: list[np.ndarray]) -> list[np.ndarray]:
  """`_gather` of columns whose lengths differ between the processes."""
  counts = multihost_utils.process_allgather(np.array(len(columns[0])))
  most = int(counts.max())
  known = np.arange(most) < counts.reshape(-1, 1)
  return [
    _gather(np.resize(column, (most, *column.shape[1:])))[known.ravel()]
    for column in columns
  ]


def _of_all_processes(
  examples: list[Example], rank: Rank, batch: Tree, outputs: np.ndarray
) -> list[Example]:
  """The examples of all processes, without duplicates.

  A process keeps the examples of its own rows. The rows of two processes may
  overlap. `batch` and `outputs` are from any batch of this process. Only their
  shapes are used, for padding.
  """
  if jax.process_count() == 1:
    return examples
  _, answers = rank(outputs, batch)
  blank = Example(-np.inf, 0, batch["label"][0], answers[0], batch["image"][0])
  padded = examples + [blank] * (MOST_EXAMPLES - len(examples))
  names = [field.name for field in dataclasses.fields(Example)]
  columns = [np.stack([getattr(e, name) for e in padded]) for name in names]
  # As bytes: on the devices, 64-bit numbers would become 32-bit numbers.
  gathered = [_gather(column) for column in columns]
  found = [
    Example(float(score), int(position), *row)
    for score, position, *row in zip(*gathered, strict=True)
  ]
  known = {each.position: each for each in found if np.isfinite(each.score)}
  return list(known.values())


def _gather(column: np.ndarray) -> np.ndarray:
  """(n, ...) of each process -> (n * processes, ...), of the same type."""
  content = np.ascontiguousarray(column).view(np.uint8)
  gathered = multihost_utils.process_allgather(content)
  return gathered.reshape(-1, *content.shape[1:]).view(column.dtype)
