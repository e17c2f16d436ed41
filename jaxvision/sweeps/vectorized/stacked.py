"""Runs whose states lie one on the other, and what is computed of all at once.

Whatever is given or returned by run has a leading axis of the runs that are
left in the stack, in their order.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import metrics
from jaxvision.config import ConfigDict
from jaxvision.sweeps.vectorized import shared_programs
from jaxvision.sweeps.vectorized.shared_programs import Programs, Trace
from jaxvision.training.setup import assembly

Tree = Any

# Keys of the data that are numbers in the traces.
_TRACED = ("device_transforms", "mean", "std")


@dataclasses.dataclass(frozen=True)
class Stack:
  """Runs that share their programs, and their arrays.

  Attributes:
    parts, traces: of the runs.
    programs: that they share.
    numbers, states: (n, ...), divided among the devices.
    examples: of the training split, on every device.
    evaluated: by role, the batches of a split, on every device.
  """

  parts: tuple[assembly.Parts, ...]
  traces: tuple[Trace, ...]
  programs: Programs
  numbers: Tree
  states: Tree
  examples: Tree
  evaluated: Mapping[str, tuple[Tree, ...]]


def why_alone(config: ConfigDict) -> str:
  """Why a run cannot be trained with others; "" if it can."""
  reasons = {
    "it has several processes": jax.process_count() > 1,
    'its data.placement is not "device"': config.data.placement != "device",
    "it starts from a file of weights": bool(config.model.weights),
    "it measures probes": bool(config.evaluate.probes),
  }
  return next((reason for reason, holds in reasons.items() if holds), "")


def sees_same(a: assembly.Parts, b: assembly.Parts) -> bool:
  """Whether two runs have the same splits, and do the same at the same steps.

  Their transforms on the device may differ in numbers: those are traced.
  """
  data = (
    {k: v for k, v in each.config.data.to_dict().items() if k not in _TRACED}
    for each in (a, b)
  )
  sizes = (
    [batches.batch_size for batches in each.batches.values()] for each in (a, b)
  )
  return (
    a.steps == b.steps
    and _equal(data)
    and _equal(sizes)
    and a.config.train == b.config.train
  )


def _equal(pair: Iterator[Any]) -> bool:
  first, second = pair
  return first == second


def begin(
  parts: Sequence[assembly.Parts],
  traces: Sequence[Trace],
  states: Sequence[Tree] | None = None,
) -> Stack:
  """Stacks runs that are at one step.

  Args:
    parts: of the runs; they see the same data.
    traces: of the runs, alike.
    states: of numpy arrays; None draws those of step 0.
  """
  mesh = shared_programs.mesh_of(len(parts))
  programs = shared_programs.share(traces, mesh)
  numbers = shared_programs.put(programs.numbers, mesh)
  if states is None:
    found = programs.init(numbers["init"])
  else:
    leaves = zip(*map(jax.tree.leaves, states), strict=True)
    structure = jax.tree.structure(parts[0].template)
    stacked = jax.tree.unflatten(structure, [np.stack(x) for x in leaves])
    found = shared_programs.put(stacked, mesh)
  first = parts[0].batches
  return Stack(
    parts=tuple(parts),
    traces=tuple(traces),
    programs=programs,
    numbers=numbers,
    states=found,
    examples=shared_programs.put(first["train"].resident(), mesh, axis=None),
    evaluated={
      role: tuple(
        shared_programs.put(batch, mesh, axis=None)
        for batch in batches.iterate(0, batches.num_batches)
      )
      for role, batches in first.items()
      if role != "train"
    },
  )


def take_steps(stack: Stack, step: int, count: int) -> tuple[Stack, Tree]:
  """Takes steps of all runs, each on its own batches.

  Args:
    stack: where they are; its states are not to be used any more.
    step: how many steps they have taken.
    count: how many they take.

  Returns:
    The stack after them, and the sums (count, n) of each step, not awaited.
  """
  rows = np.stack(
    [p.batches["train"].line_up(step, step + count) for p in stack.parts], 1
  )
  mesh = shared_programs.mesh_of(len(stack.parts))
  states, sums = stack.programs.steps(
    stack.numbers["step"],
    stack.states,
    shared_programs.put(rows, mesh, axis=1),
    stack.examples,
  )
  return dataclasses.replace(stack, states=states), sums


def evaluate(stack: Stack, role: str) -> list[dict[str, dict[str, float]]]:
  """The metrics of each run on a split: by "role", and by "role_ema"."""
  states = stack.states
  of = {role: {"params": states.params, **states.model_state}}
  if stack.parts[0].config.ema.decay:
    of[f"{role}_ema"] = states.ema
  found: list[dict[str, dict[str, float]]] = [{} for _ in stack.parts]
  for name, variables in of.items():
    total = None
    for batch in stack.evaluated[role]:
      sums = stack.programs.sums(stack.numbers["sums"], variables, batch)
      sums = jax.tree.map(_widen, jax.device_get(sums))
      total = (
        sums if total is None else metrics.classification.merge(total, sums)
      )
    for place, each in enumerate(found):
      own = jax.tree.map(lambda x, i=place: x[i], total)
      each[name] = metrics.classification.finish(own)
  return found


def only(stack: Stack, places: Sequence[int]) -> Stack:
  """The stack of the runs at some places, at least one; the others leave it."""
  states = unstacked(stack)
  return begin(
    [stack.parts[i] for i in places],
    [stack.traces[i] for i in places],
    [states[i] for i in places],
  )


def unstacked(stack: Stack) -> list[Tree]:
  """The state of each run, of numpy arrays, as it would be alone."""
  leaves = jax.tree.leaves(jax.device_get(stack.states))
  return [
    jax.tree.unflatten(
      # The optimizer's state has names in which there are numbers of the run.
      jax.tree.structure(each.template),
      [np.asarray(leaf[place]) for leaf in leaves],
    )
    for place, each in enumerate(stack.parts)
  ]


def _widen(array: np.ndarray) -> np.ndarray:
  """Sums of many batches: 64 bits, so that counts stay exact."""
  kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
  return np.asarray(array, kind)
