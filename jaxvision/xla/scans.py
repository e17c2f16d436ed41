"""A computation that is repeated inside a compiled program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def scan(
  function: Callable[[Tree, Tree], tuple[Tree, Tree]],
  carry: Tree,
  inputs: Tree,
  *,
  platform: str | None = None,
) -> tuple[Tree, Tree]:
  """Does what `jax.lax.scan` does, on a CPU without a loop.

  Inside a loop XLA:CPU computes convolutions a dozen times slower (and
  lax.scan keeps a loop of one step), so there it is written out.

  Args:
    function: (carry, input) -> (carry, output).
    carry: of the first call.
    inputs: with a leading axis of calls.
    platform: that it is compiled for, "cpu"; None is the one of jax.

  Returns:
    The last carry, and the outputs with a leading axis of calls.
  """
  if (platform or jax.default_backend()) != "cpu":
    return jax.lax.scan(function, carry, inputs)
  outputs = []
  for i in range(len(jax.tree.leaves(inputs)[0])):
    carry, output = function(carry, jax.tree.map(lambda x, i=i: x[i], inputs))
    outputs.append(output)
  return carry, jax.tree.map(lambda *each: jnp.stack(each), *outputs)
