"""A scan that may be unrolled."""

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
  unroll: bool = False,
) -> tuple[Tree, Tree]:
  """`jax.lax.scan`; one step is no loop.

  XLA:CPU computes the gradients of convolutions of lax inside a loop about six
  times slower, unless they have the form of `layers.convolution`.

  Args:
    function: (carry, input) -> (carry, output).
    carry: the first carry.
    inputs: tree of arrays; the first axis is scanned.
    unroll: whether the steps are written out, which takes longer to compile.

  Returns:
    The last carry, and the outputs stacked along a new first axis.
  """
  length = len(jax.tree.leaves(inputs)[0])
  if length > 1 and not unroll:
    return jax.lax.scan(function, carry, inputs)
  outputs = []
  for i in range(length):
    carry, output = function(carry, jax.tree.map(lambda x, i=i: x[i], inputs))
    outputs.append(output)
  return carry, jax.tree.map(lambda *each: jnp.stack(each), *outputs)
