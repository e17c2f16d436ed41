"""The L1 and L2 penalties of parameters."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxvision import trees


def penalty(params: Any, *, l1: float, l2: float, pattern: str) -> jax.Array:
  """Returns l1 sum |w| + l2 / 2 sum w^2 over the matching parameters.

  The gradient of the second term is l2 w, so l2 is the weight decay of SGD.
  (CS231n has l2 sum w^2 in its notes on linear classification, and l2 / 2 in
  its case study. For the first form, double l2 here.)

  Args:
    params: tree of arrays.
    l1: weight of the sum of absolute values.
    l2: weight of half the sum of squares.
    pattern: regular expression for complete paths, such as ".*kernel".

  Returns:
    A float32 scalar.

  Raises:
    ValueError: a weight is not zero, but the pattern matches no parameter.
  """
  total = jnp.zeros(())
  if not (l1 or l2):
    return total
  found = trees.matching(pattern, params, where="loss.penalty_on")
  for leaf in found.values():
    leaf = leaf.astype(jnp.float32)
    total += l1 * jnp.sum(jnp.abs(leaf)) + l2 / 2 * jnp.sum(jnp.square(leaf))
  return total
