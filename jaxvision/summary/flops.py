"""Multiply-accumulates of a computation, counted from its jaxpr.

Convolutions and matrix products are counted as in papers: with taps on padding,
without elementwise operations. (XLA's cost analysis excludes the padding, 7 %
of ResNet-18, and counts the body of a scan once.)
"""

import math
from collections import Counter
from typing import Any

import jax
import jax.extend.core

Scopes = tuple[str, ...]


def multiply_accumulates(jaxpr: Any) -> Counter[Scopes]:
  """Counts multiply-accumulates by `jax.named_scope`.

  Args:
    jaxpr: open or closed. A `cond` (its branches can be platforms) counts as
      its most expensive branch. A `while` counts its body once.

  Returns:
    {scopes: count}, with scopes from the outermost to the innermost.
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
