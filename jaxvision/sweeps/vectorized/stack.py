"""A stack of trials: their stacked state, and its program for the loop.

If a step takes a fraction of a millisecond, the call costs more than the
computation, and the machine is mostly idle. Here one call computes a step of
all trials.

Arrays by trial have a leading axis of the trials of the stack, in their order.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import trees
from jaxvision.config import ConfigDict
from jaxvision.metrics import Evaluation
from jaxvision.sweeps.vectorized import programs
from jaxvision.training.loop import results, train_loop
from jaxvision.training.setup import Parts, initial_state

Tree = Any

# Keys of `data` whose values are numbers in the traces.
_TRACED = ("device_transforms", "mean", "std")


@dataclasses.dataclass(frozen=True)
class Trial:
  """A run before its first step.

  Attributes:
    config: of the run.
    parts: of the config.
    trace: of the parts.
  """

  config: ConfigDict
  parts: Parts
  trace: programs.Trace


@dataclasses.dataclass(frozen=True)
class _Shared:
  """The programs and data of the trials in a stack.

  Attributes:
    trials: by place.
    mesh: of the devices that share the trials.
    programs: of all trials.
    numbers: of the programs, (n, ...), on the mesh.
    examples: the training split as one batch, on every device.
    evaluated: the batches of the other splits by role, on every device.
    constants: of the task, on every device; the trials share them.
  """

  trials: Sequence[Trial]
  mesh: Mesh
  programs: programs.Programs
  numbers: Tree
  examples: Tree
  evaluated: Mapping[str, tuple[Tree, ...]]
  constants: Tree


def why_alone(config: ConfigDict) -> str:
  """The reason why a run cannot be trained with others; "" if there is none."""
  reasons = {
    "it has several processes": jax.process_count() > 1,
    'its data.placement is not "device"': config.data.placement != "device",
    "it measures probes": bool(config.evaluate.probes),
    "it measures suites": bool(config.evaluate.suites),
    "its checkpoint.restore_best is True, and a group does not save the best "
    "checkpoints": config.checkpoint.restore_best,
  }
  return next((reason for reason, holds in reasons.items() if holds), "")


def groups(trials: Mapping[int, Trial]) -> list[list[int]]:
  """Groups of at least two trials that can be in one stack, by their keys."""
  found: list[list[int]] = []
  for key, trial in trials.items():
    for group in found:
      if _can_share(trials[group[0]], trial):
        group.append(key)
        break
    else:
      found.append([key])
  return [group for group in found if len(group) > 1]


def _can_share(a: Trial, b: Trial) -> bool:
  """Whether two trials can be in one stack.

  They need the same splits, teachers, durations and settings of training, and
  programs that differ only in numbers. Numbers of device transforms are traced.
  """
  return (
    a.parts.steps == b.parts.steps
    and a.config.train == b.config.train
    and _data(a) == _data(b)
    and a.parts.taught.digests == b.parts.taught.digests
    and programs.is_alike(a.trace, b.trace)
  )


def _data(trial: Trial) -> tuple[Any, ...]:
  """The data settings that must be equal in a stack."""
  keys = trial.config.data.to_dict()
  sizes = [each.batch_size for each in trial.parts.batches.values()]
  return {k: v for k, v in keys.items() if k not in _TRACED}, sizes


def make_program(
  trials: Sequence[Trial],
  *,
  states: Sequence[Tree] | None = None,
  data_of: _Shared | None = None,
) -> tuple[train_loop.Program, Tree]:
  """Makes the program of trials that can share it, and their stacked state.

  Args:
    trials: of the stack.
    states: of the trials, in numpy arrays; None starts at step 0, with random
      variables or the weights of the config.
    data_of: a stack with the same data. Its arrays are reused if its mesh is
      equal.
  """
  mesh = programs.mesh_of(len(trials))
  paired = trials[0].parts.batches["train"].partners is not None
  shared = programs.share([each.trace for each in trials], mesh, paired=paired)
  numbers = programs.put(shared.numbers, mesh)
  if states is None and any(each.config.model.weights for each in trials):
    states = [
      jax.device_get(initial_state.make_state(each.config, each.parts))
      for each in trials
    ]
  if states is None:
    state = shared.init(numbers["init"])
  else:
    leaves = zip(*map(jax.tree.leaves, states), strict=True)
    structure = jax.tree.structure(trials[0].parts.template)
    stacked = jax.tree.unflatten(structure, [np.stack(x) for x in leaves])
    state = programs.put(stacked, mesh)
  if data_of and data_of.mesh == mesh:
    placed = data_of.examples, data_of.evaluated, data_of.constants
  else:
    placed = _put_data(trials[0].parts, mesh)
  made = _Shared(trials, mesh, shared, numbers, *placed)
  return _program(made), state


def _put_data(
  parts: Parts, mesh: Mesh
) -> tuple[Tree, Mapping[str, tuple[Tree, ...]], Tree]:
  """Puts the training split, the other batches and the constants on a mesh."""
  put = functools.partial(programs.put, mesh=mesh, axis=None)
  evaluated = {
    role: tuple(map(put, batches.iterate(0, batches.num_batches)))
    for role, batches in parts.batches.items()
    if role != "train"
  }
  examples = put(parts.batches["train"].resident())
  return examples, evaluated, put(parts.task.constants)


def _program(shared: _Shared) -> train_loop.Program:
  parts = shared.trials[0].parts
  role, name = results.final_split(parts)

  def measure(state: Tree) -> list[dict[str, Mapping[str, float]]]:
    return [
      {split: evaluation.metrics for split, evaluation in each.items()}
      for each in _evaluate(shared, state, "validation")
    ]

  return train_loop.Program(
    step=functools.partial(_step, shared),
    feed=functools.partial(_feed, parts.steps.total, parts.steps_per_call),
    measure=measure,
    not_finite=functools.partial(
      trees.not_finite_of_each, count=len(shared.trials)
    ),
    final=lambda state: [e.get(name) for e in _evaluate(shared, state, role)],
    split=functools.partial(_split, shared),
    places=len(shared.trials),
    keep=functools.partial(_keep, shared),
  )


def _feed(total: int, count: int, first: int) -> Iterator[tuple[int, range]]:
  """The range of steps of each call; `_step` computes the rows from it."""
  for step in range(first, total, count):
    yield step + count, range(step, step + count)


def _step(shared: _Shared, state: Tree, steps: range) -> tuple[Tree, Tree]:
  """Takes some steps of all trials, each on its own batches."""
  rows = [
    each.parts.batches["train"].line_up(steps.start, steps.stop)
    for each in shared.trials
  ]
  return shared.programs.steps(
    shared.numbers["step"],
    state,
    programs.put(np.stack(rows, 1), shared.mesh, axis=1),
    shared.examples,
    shared.constants,
  )


def _evaluate(
  shared: _Shared, state: Tree, role: str
) -> list[dict[str, Evaluation]]:
  """The evaluations on a split: {"role": ..., "role_ema": ...} by trial.

  The evaluations have no examples: the programs do not return the outputs.
  """
  found: list[dict[str, Evaluation]] = [{} for _ in shared.trials]
  if role not in shared.evaluated:
    return found
  networks = {role: {"params": state.params, **state.model_state}}
  if shared.trials[0].parts.averaged:
    networks[f"{role}_ema"] = state.ema
  for name, variables in networks.items():
    total = _sums(shared, variables, role)
    for place, trial in enumerate(shared.trials):
      sums = jax.tree.map(lambda x, i=place: x[i], total)
      values = trial.parts.task.finish(sums)
      found[place][name] = Evaluation(metrics=values, sums=sums, examples=())
  return found


def _sums(shared: _Shared, variables: Tree, role: str) -> Tree:
  """The sums over a split, (n, ...) arrays in 64 bits: counts stay exact."""
  total, merge = None, shared.trials[0].parts.task.merge
  for batch in shared.evaluated[role]:
    sums = shared.programs.sums(
      shared.numbers["sums"], variables, batch, shared.constants
    )
    sums = jax.tree.map(_widen, jax.device_get(sums))
    total = sums if total is None else merge(total, sums)
  return total


def _widen(array: np.ndarray) -> np.ndarray:
  if array.dtype == np.uint8:
    return array
  kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
  return np.asarray(array, kind)


def _keep(
  shared: _Shared, state: Tree, places: Sequence[int]
) -> tuple[train_loop.Program, Tree]:
  """The program and the state of some trials, at least one."""
  states = _split(shared, state)
  return make_program(
    [shared.trials[place] for place in places],
    states=[states[place] for place in places],
    data_of=shared,
  )


def _split(shared: _Shared, state: Tree) -> list[Tree]:
  """The state of each trial in numpy arrays, in the form of a single run."""
  leaves = jax.tree.leaves(jax.device_get(state))
  return [
    jax.tree.unflatten(
      # The tree structure of an optimizer state depends on the trial's numbers.
      jax.tree.structure(each.parts.template),
      [np.asarray(leaf[place]) for leaf in leaves],
    )
    for place, each in enumerate(shared.trials)
  ]
