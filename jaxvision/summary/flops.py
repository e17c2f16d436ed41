"""Multiply-accumulates of a computation, read from its jaxpr.

Those of convolutions and matrix products, as papers count them: taps on padding
included, elementwise operations not. (XLA's own cost analysis leaves out the
padding, 7 % of ResNet-18, and counts the body of a scan once.)
"""

import math
from collections import Counter
from typing import Any

import jax
import jax.extend.core

Scopes = tuple[str, ...]


def multiply_accumulates(jaxpr: Any) -> Counter[Scopes]:
  """Returns how many there are, by `jax.named_scope` they were traced in.

  Args:
    jaxpr: open or closed. Of the branches of a `cond`, which may be one per
      platform, that with the most counts; a `while` counts its body once.

  Returns:
    {scopes: count}, the scopes from the outermost to the innermost.
  """
  counts = Counter()
  for equation in jaxpr.eqns:
    outer = tuple(each.name for each in equation.source_info.name_stack.stack)
    for inner, count in _of_equation(equation).items():
      counts[outer + inner] += count
  return counts


def _of_equation(equation: Any) -> Counter[Scopes]:
  name = equation.primitive.name
  if name == "dot_general":
    return Counter({(): _of_product(equation)})
  if name == "conv_general_dilated":
    return Counter({(): _of_convolution(equation)})
  inner = [
    multiply_accumulates(each)
    for each in jax.tree.leaves(list(equation.params.values()))
    if isinstance(each, (jax.extend.core.Jaxpr, jax.extend.core.ClosedJaxpr))
  ]
  if name == "cond":
    return max(inner, key=Counter.total)
  counts = sum(inner, Counter())
  if name == "scan":
    length = equation.params["length"]
    return Counter({scopes: length * n for scopes, n in counts.items()})
  return counts


def _of_product(equation: Any) -> int:
  (contracted, _), _ = equation.params["dimension_numbers"]
  left = equation.invars[0].aval.shape
  return equation.outvars[0].aval.size * math.prod(
    left[axis] for axis in contracted
  )


def _of_convolution(equation: Any) -> int:
  kernel = equation.invars[1].aval
  outputs = equation.params["dimension_numbers"].rhs_spec[0]
  taps = kernel.size // kernel.shape[outputs]
  return equation.outvars[0].aval.size * taps
