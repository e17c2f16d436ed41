"""Loops and branches whose convolutions are fast on CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxvision.xla import convolutions

Tree = Any


def scan(
  function: Callable[[Tree, Tree], tuple[Tree, Tree]],
  carry: Tree,
  inputs: Tree,
  *,
  platform: str | None = None,
) -> tuple[Tree, Tree]:
  """`jax.lax.scan`; one step is no loop.

  On CPU the axes of its convolutions are ordered, see `xla.convolutions`.

  Args:
    function: (carry, input) -> (carry, output).
    carry: the first carry.
    inputs: tree of arrays; the first axis is scanned.
    platform: target platform, such as "cpu"; None for jax's default backend.

  Returns:
    The last carry, and the outputs stacked along a new first axis.
  """
  first = jax.tree.map(lambda x: x[0], inputs)
  if len(jax.tree.leaves(inputs)[0]) == 1:
    carry, output = function(carry, first)
    return carry, jax.tree.map(lambda x: jnp.expand_dims(x, 0), output)
  if (platform or jax.default_backend()) == "cpu":
    function = _ordered(function, carry, first)
  return jax.lax.scan(function, carry, inputs)


def switch(
  index: jax.Array,
  branches: Sequence[Callable[..., Tree]],
  *operands: Tree,
  platform: str | None = None,
) -> Tree:
  """`jax.lax.switch`; one branch is no choice.

  On CPU the axes of its convolutions are ordered, as in `scan`.

  Args:
    index: () int, the number of the branch.
    branches: functions of the operands, with results of equal shapes.
    *operands: of the branches.
    platform: as in `scan`.
  """
  if len(branches) == 1:
    return branches[0](*operands)
  if (platform or jax.default_backend()) == "cpu":
    branches = [_ordered(each, *operands) for each in branches]
  return jax.lax.switch(index, branches, *operands)


def _ordered(
  function: Callable[..., Tree], *examples: Tree
) -> Callable[..., Tree]:
  """The function, with the usual order of axes in its convolutions."""
  traced, shape = jax.make_jaxpr(function, return_shape=True)(*examples)
  call = core.jaxpr_as_fun(convolutions.order_axes(traced))
  structure = jax.tree.structure(shape)
  return lambda *arguments: jax.tree.unflatten(
    structure, call(*jax.tree.leaves(arguments))
  )
