"""The shared programs of runs that differ only in numbers.

The states of the runs are stacked in arrays (n, ...). The runs are divided over
the devices. No data are sent between devices.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvision import trees
from jaxvision.config import ConfigDict
from jaxvision.sweeps.vectorized import jaxpr
from jaxvision.training import setup
from jaxvision.training.step import scan_steps
from jaxvision.xla import batched_init

Tree = Any
Numbers = Mapping[str, tuple[np.ndarray, ...]]
AXIS = "runs"


@dataclasses.dataclass(frozen=True)
class Trace:
  """The traced programs of one run, with its own numbers.

  Attributes:
    programs: by name: "init", "step", "sums".
    results: the shapes of the results of each program, by name.
  """

  programs: Mapping[str, Any]
  results: Mapping[str, Tree]


@dataclasses.dataclass(frozen=True)
class Programs:
  """The programs of n runs, and the numbers that differ between the runs.

  Attributes:
    init: (numbers) -> states.
    steps: (numbers, states, rows (k, n, b) int32, examples, constants) ->
      (states after k steps, sums (k, n)). The states are donated.
    sums: (numbers, variables, batch, constants) -> the sums of an evaluation
      (n, ...).
    numbers: arrays (n, ...), by the name of the program.
  """

  init: Callable[[Numbers], Tree]
  steps: Callable[..., tuple[Tree, Tree]]
  sums: Callable[..., Tree]
  numbers: Numbers


def trace(config: ConfigDict, parts: setup.Parts) -> Trace:
  """Traces the programs of a run."""
  parts = setup.for_one_device(config, parts)
  task = parts.task

  def step(state: Tree, batch: Tree, *constants: Tree) -> tuple[Tree, Tree]:
    return parts.step(state, batch, parts.seed, *constants)

  def sums(variables: Tree, batch: Tree, *constants: Tree) -> Tree:
    return task.evaluate(variables, batch, *constants)[0]

  state, constants = parts.template, trees.shapes(task.constants)
  variables = {"params": state.params, **state.model_state}
  size = setup.batch_size(config, train=False)
  evaluated = {
    name: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)
    for name, leaf in parts.batch.items()
  }
  made = {
    "init": _traced(functools.partial(batched_init.evaluate, parts.draw)),
    "step": _traced(step, state, parts.batch, *constants),
    "sums": _traced(sums, variables, evaluated, *constants),
  }
  programs, found = ({k: v[i] for k, v in made.items()} for i in (0, 1))
  return Trace(programs, found)


def is_alike(a: Trace, b: Trace) -> bool:
  """Whether two runs differ only in numbers."""
  try:
    for name in a.programs:
      jaxpr.lift([a.programs[name], b.programs[name]])
  except jaxpr.Different:
    return False
  return True


def share(
  traces: Sequence[Trace], mesh: Mesh, *, paired: bool = False
) -> Programs:
  """Makes the programs of runs that differ only in numbers.

  Args:
    traces: of the runs.
    mesh: `mesh_of` the number of runs.
    paired: whether the rows are (k, n, b, 2), of examples and their partners.

  Raises:
    jaxpr.Different: the runs differ in more than numbers.
  """
  lifted = {
    name: jaxpr.lift([each.programs[name] for each in traces])
    for name in traces[0].programs
  }
  calls = {
    name: functools.partial(
      _call, each, jax.tree.structure(traces[0].results[name])
    )
    for name, each in lifted.items()
  }
  on_cpu = mesh.devices.flat[0].platform == "cpu"
  over = {
    name: _one_by_one if on_cpu and each.convolves else jax.vmap
    for name, each in lifted.items()
  }
  runs, whole = PartitionSpec(AXIS), PartitionSpec()
  divide = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
  # `numbers` is empty if the runs do not differ, so it cannot give the size.
  here = len(traces) // mesh.size

  def init(numbers):
    return jax.vmap(calls["init"], axis_size=here)(numbers)

  def steps(numbers, states, rows, examples, constants):
    def step(states, batch):
      of_all = over["step"](calls["step"], in_axes=(0, 0, 0, None))
      return of_all(numbers, states, batch, constants)

    return scan_steps(step, paired=paired)(states, rows, examples)

  def sums(numbers, variables, batch, constants):
    of_all = over["sums"](calls["sums"], in_axes=(0, 0, None, None))
    return of_all(numbers, variables, batch, constants)

  by_step = PartitionSpec(None, AXIS)
  return Programs(
    init=jax.jit(divide(init, in_specs=(runs,), out_specs=runs)),
    steps=jax.jit(
      divide(
        steps,
        in_specs=(runs, runs, by_step, whole, whole),
        out_specs=(runs, by_step),
      ),
      donate_argnums=1,
    ),
    sums=jax.jit(
      divide(sums, in_specs=(runs, runs, whole, whole), out_specs=runs)
    ),
    numbers={name: each.numbers for name, each in lifted.items()},
  )


def mesh_of(count: int) -> Mesh:
  """A mesh for `count` runs: the most devices whose number divides `count`."""
  devices = jax.devices()
  size = max(n for n in range(1, len(devices) + 1) if count % n == 0)
  return Mesh(np.asarray(devices[:size]), (AXIS,))


def put(tree: Tree, mesh: Mesh, *, axis: int | None = 0) -> Tree:
  """Puts arrays on the mesh, with the runs along `axis`.

  If the axis is None, all runs share the arrays.
  """
  spec = (
    PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS)
  )
  return jax.device_put(tree, NamedSharding(mesh, spec))


def _traced(
  function: Callable[..., Tree], *arguments: Tree
) -> tuple[Any, Tree]:
  return jax.make_jaxpr(function, return_shape=True)(*arguments)


def _call(
  lifted: jaxpr.Lifted, results: Any, rows: Sequence[Any], *arguments: Tree
) -> Tree:
  flat = jax.tree.leaves(arguments)
  return jax.tree.unflatten(results, lifted.call(rows, flat))


def _one_by_one(
  function: Callable[..., Tree], *, in_axes: Sequence[int | None]
) -> Callable[..., Tree]:
  """`jax.vmap` for axes 0 and None, as a loop over the runs.

  A batched convolution is a grouped convolution. XLA:CPU computes its gradients
  at the cost of a convolution in which each group has all channels. If data
  choose a branch, a batch computes all branches.
  """

  def compute(*arguments: Tree) -> Tree:
    def of_one(own: Sequence[Tree]) -> Tree:
      rest = iter(own)
      return function(
        *(
          each if axis is None else next(rest)
          for each, axis in zip(arguments, in_axes, strict=True)
        )
      )

    pairs = zip(arguments, in_axes, strict=True)
    return jax.lax.map(of_one, [each for each, a in pairs if a is not None])

  return compute
