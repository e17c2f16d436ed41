"""A scan that is unrolled on CPU."""

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
  """`jax.lax.scan`, unrolled on CPU.

  XLA:CPU computes the gradients of convolutions of lax inside a loop about
  twelve times slower, unless they have the form of `layers.convolution`, and
  lax.scan keeps a loop even for one step.

  Args:
    function: (carry, input) -> (carry, output).
    carry: the first carry.
    inputs: tree of arrays; the first axis is scanned.
    platform: target platform, such as "cpu"; None for jax's default backend.

  Returns:
    The last carry, and the outputs stacked along a new first axis.
  """
  if (platform or jax.default_backend()) != "cpu":
    return jax.lax.scan(function, carry, inputs)
  outputs = []
  for i in range(len(jax.tree.leaves(inputs)[0])):
    carry, output = function(carry, jax.tree.map(lambda x, i=i: x[i], inputs))
    outputs.append(output)
  return carry, jax.tree.map(lambda *each: jnp.stack(each), *outputs)
