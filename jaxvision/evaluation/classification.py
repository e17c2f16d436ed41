"""Evaluates a classifier on a whole split, every example exactly once."""

import dataclasses
import functools
import heapq
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jaxvision import data, metrics, parallel

Tree = Any
MAX_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class Mistake:
  """An example that was classified wrongly.

  Attributes:
    confidence: the probability of the predicted class.
    position: in the split.
    label, prediction: classes.
    image: (h, w, c) uint8, as the model saw it before normalisation.
  """

  confidence: float
  position: int
  label: int
  prediction: int
  image: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What was measured on a split.

  Attributes:
    metrics: by name, as `classification.finish` gives them, and "loss".
    sums: what they were computed from, with "confusion" (k, k).
    mistakes: the most confident ones, most confident first.
  """

  metrics: dict[str, float]
  sums: Tree
  mistakes: tuple[Mistake, ...]


def make_evaluator(
  task_sums: Callable[[Tree, Tree], tuple[Tree, jax.Array]],
  batches: data.Batches,
  mesh: Mesh,
  *,
  placement: str = "host",
  watched: Callable[[Iterator[Tree]], Iterator[Tree]] = iter,
) -> Callable[..., Evaluation]:
  """evaluate(variables, limit=None) -> Evaluation of all of `batches`.

  With a limit it ends after so many of them.

  Args:
    task_sums: (variables, batch) -> (sums, logits (b, k)).
    batches: a split in order; its last batch is padded with mask 0.
    mesh: what the variables lie on.
    placement: "host" makes and sends the batches for each evaluation, "device"
      for the first, after which they stay, spread over the devices.
    watched: gives the batches that it is given; what it raises in place of one
      ends the evaluation.

  Raises:
    ValueError: the split is too large to stay on the device.
  """
  feed = functools.partial(_feed, batches, mesh)
  if placement == "device":
    batches.check_resident()
    resident = functools.cache(lambda: tuple(_feed(batches, mesh, None)))
    feed = lambda limit: resident()[:limit]  # noqa: E731
  measure = jax.jit(task_sums, out_shardings=parallel.replicated(mesh))
  rows = np.arange(batches.batch_size)[batches.rows]

  def evaluate(variables: Tree, limit: int | None = None) -> Evaluation:
    total, worst, pending = None, [], None
    for number, (batch, on_devices) in enumerate(watched(feed(limit))):
      measured = measure(variables, on_devices)
      # Read the batch before this one while this one is being computed.
      if pending:
        total = _collect(total, worst, *pending)
      positions = number * batches.batch_size + rows
      pending = (positions, batch, measured)
    total = _collect(total, worst, *pending)
    mistakes = _of_all_processes([item[2] for item in worst], batches)
    mistakes.sort(key=lambda each: (-each.confidence, each.position))
    return Evaluation(
      metrics=metrics.classification.finish(total),
      sums=total,
      mistakes=tuple(mistakes[:MAX_MISTAKES]),
    )

  return evaluate


def _feed(
  batches: data.Batches, mesh: Mesh, limit: int | None
) -> Iterator[tuple[Tree, Tree]]:
  """Each batch: this process's rows here, and all of it on the devices."""
  for batch in batches.iterate(0, limit or batches.num_batches):
    yield batch, parallel.put_batch(batch, mesh)


def _collect(total, worst, positions, batch, measured) -> Tree:
  """Adds a batch to the sums and keeps its most confident mistakes."""
  sums, logits = jax.device_get(measured)
  own = logits[positions % len(logits)]  # their rows in the batch
  _keep_mistakes(worst, own, batch, positions)
  sums = jax.tree.map(_widen, sums)
  return sums if total is None else metrics.classification.merge(total, sums)


def _widen(array: np.ndarray) -> np.ndarray:
  """Sums of many batches: 64 bits, so that counts stay exact."""
  kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
  return np.asarray(array, kind)


def _keep_mistakes(worst, logits, batch, positions: np.ndarray) -> None:
  """Updates a heap of (confidence, -position, Mistake) in place.

  Only the most confident of a batch are looked at, and of those kept the image
  is copied: a view would keep the whole batch in memory.
  """
  finite = np.where(np.isfinite(logits), logits, -np.inf)
  predictions = finite.argmax(-1)
  with np.errstate(invalid="ignore"):  # No confidence where one is infinite.
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
  confidences = shifted.max(-1) / shifted.sum(-1)
  wrong = (predictions != batch["label"]) & (batch["mask"] > 0)
  found = np.flatnonzero(wrong & np.isfinite(confidences))
  order = np.argsort(-confidences[found], kind="stable")
  for i in found[order[:MAX_MISTAKES]]:
    mistake = Mistake(
      confidence=float(confidences[i]),
      position=int(positions[i]),
      label=int(batch["label"][i]),
      prediction=int(predictions[i]),
      image=batch["image"][i].copy(),
    )
    item = (mistake.confidence, -mistake.position, mistake)
    if len(worst) < MAX_MISTAKES:
      heapq.heappush(worst, item)
    else:
      heapq.heappushpop(worst, item)


def _of_all_processes(
  mistakes: list[Mistake], batches: data.Batches
) -> list[Mistake]:
  """Each process has looked at its own rows only, which may overlap."""
  if jax.process_count() == 1:
    return mistakes
  padding = Mistake(-1.0, 0, 0, 0, np.zeros(batches.image_shape, np.uint8))
  padded = mistakes + [padding] * (MAX_MISTAKES - len(mistakes))
  fields = [field.name for field in dataclasses.fields(Mistake)]
  columns = [np.stack([getattr(m, name) for m in padded]) for name in fields]
  # As bytes: the devices would make floats and integers narrower.
  gathered = [_gather(column) for column in columns]
  found = [
    Mistake(*(value.tolist() for value in row), image=image)
    for *row, image in zip(*gathered, strict=True)
  ]
  known = {each.position: each for each in found if each.confidence >= 0}
  return list(known.values())


def _gather(column: np.ndarray) -> np.ndarray:
  """(n, ...) of each process -> (n processes, ...), of the same type."""
  content = np.ascontiguousarray(column).view(np.uint8)
  gathered = multihost_utils.process_allgather(content)
  return gathered.reshape(-1, *content.shape[1:]).view(column.dtype)
