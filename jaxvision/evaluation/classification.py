"""Evaluates a classifier on a whole split, every example exactly once."""

import dataclasses
import heapq
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import data, distributed, metrics

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
    metrics: by name, as `metrics.finish` gives them, and "loss".
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
) -> Callable[[Tree], Evaluation]:
  """evaluate(variables) -> Evaluation of all of `batches`.

  Args:
    task_sums: (variables, batch) -> (sums, logits (b, k)).
    batches: a split in order; its last batch is padded with mask 0.
    mesh: what the variables lie on.
  """
  measure = jax.jit(task_sums, out_shardings=distributed.replicated(mesh))

  def evaluate(variables: Tree) -> Evaluation:
    total, worst, pending = None, [], None
    for number, batch in enumerate(batches.iterate(0, batches.num_batches)):
      measured = measure(variables, distributed.put_batch(batch, mesh))
      # Read the batch before this one while this one is being computed.
      if pending:
        total = _collect(total, worst, *pending)
      pending = (number * batches.batch_size, batch, measured)
    total = _collect(total, worst, *pending)
    mistakes = sorted(worst, key=lambda item: item[:2], reverse=True)
    return Evaluation(
      metrics=metrics.finish(total),
      sums=total,
      mistakes=tuple(item[2] for item in mistakes),
    )

  return evaluate


def _collect(total, worst, position, batch, measured) -> Tree:
  """Adds a batch to the sums and keeps its most confident mistakes."""
  sums, logits = jax.device_get(measured)
  rows = distributed.local_rows(len(logits))
  _keep_mistakes(worst, logits[rows], batch, position + rows.start)
  sums = jax.tree.map(_widen, sums)
  return sums if total is None else metrics.merge(total, sums)


def _widen(array: np.ndarray) -> np.ndarray:
  """Sums of many batches: 64 bits, so that counts stay exact."""
  kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
  return np.asarray(array, kind)


def _keep_mistakes(worst, logits, batch, position: int) -> None:
  """Updates a heap of (confidence, -position, Mistake) in place.

  Only the most confident of a batch are looked at, and of those kept the image
  is copied: a view would keep the whole batch in memory.
  """
  finite = np.where(np.isfinite(logits), logits, -np.inf)
  predictions = finite.argmax(-1)
  shifted = np.exp(logits - logits.max(-1, keepdims=True))
  confidences = shifted.max(-1) / shifted.sum(-1)
  wrong = (predictions != batch["label"]) & (batch["mask"] > 0)
  found = np.flatnonzero(wrong & np.isfinite(confidences))
  order = np.argsort(-confidences[found], kind="stable")
  for i in found[order[:MAX_MISTAKES]]:
    mistake = Mistake(
      confidence=float(confidences[i]),
      position=position + int(i),
      label=int(batch["label"][i]),
      prediction=int(predictions[i]),
      image=batch["image"][i].copy(),
    )
    item = (mistake.confidence, -mistake.position, mistake)
    if len(worst) < MAX_MISTAKES:
      heapq.heappush(worst, item)
    else:
      heapq.heappushpop(worst, item)
