"""The equations of traced programs."""

from collections.abc import Sequence
from typing import Any

from jax.extend import core


def bind(equation: core.JaxprEqn, inputs: Sequence[Any]) -> Sequence[Any]:
  """The outputs of an equation for inputs."""
  found = equation.primitive.get_bind_params(equation.params)
  if isinstance(found, tuple):  # older jax: functions are separate
    functions, named = found
    outputs = equation.primitive.bind(*functions, *inputs, **named)
  else:
    outputs = equation.primitive.bind(*inputs, **found)
  return outputs if equation.primitive.multiple_results else [outputs]


def programs_in(value: Any) -> list[core.ClosedJaxpr | core.Jaxpr]:
  """The programs in a parameter of an equation."""
  if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
    return [value]
  if isinstance(value, list | tuple):
    return [program for each in value for program in programs_in(each)]
  return []
