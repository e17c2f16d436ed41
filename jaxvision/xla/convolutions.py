"""Convolutions of traced programs, in the form that is fast in loops on CPU.

XLA:CPU has a fast routine for convolutions whose axes have the usual order
(batch, rows, columns, channels). It brings others into this form, such as the
gradients of a convolution, but only in the main program: in loops, branches and
calls they take about six times longer. Here a traced program gets this form
before it is compiled. `jaxvision.layers.convolution` gives it to the layers of
this library; users may have layers of their own.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend import core

from jaxvision.xla import traced

_NAME = "conv_general_dilated"
# Its program depends on the devices around it.
_CLOSED = ("shard_map",)


def order_axes(program: core.ClosedJaxpr) -> core.ClosedJaxpr:
  """The same program, with the usual order of axes in all convolutions."""
  if not _has_others(program):
    return program
  return jax.make_jaxpr(lambda *arguments: _evaluate(program, arguments))(
    *program.in_avals
  )


def convolve(
  params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
  """A convolution with the parameters of an equation, in the usual order."""
  params = dict(params)
  of_x, of_kernel, of_y = params.pop("dimension_numbers")
  # Each has the places of (batch, channels) or (outputs, inputs), then those of
  # the rows and columns.
  spatial, usual = range(2, x.ndim), _usual(x.ndim)
  y = jax.lax.conv_general_dilated(
    x.transpose(of_x[0], *(of_x[i] for i in spatial), of_x[1]),
    kernel.transpose(*(of_kernel[i] for i in spatial), *of_kernel[1::-1]),
    dimension_numbers=usual,
    **params,
  )
  return y.transpose([usual.out_spec[of_y.index(a)] for a in range(x.ndim)])


def _usual(dimensions: int) -> jax.lax.ConvDimensionNumbers:
  last = dimensions - 1
  images = (0, last, *range(1, last))
  kernels = (last, last - 1, *range(last - 1))
  return jax.lax.ConvDimensionNumbers(images, kernels, images)


def _has_others(program: core.ClosedJaxpr | core.Jaxpr) -> bool:
  """Whether a program has convolutions with another order of axes."""
  jaxpr = program.jaxpr if isinstance(program, core.ClosedJaxpr) else program
  return any(map(_is_other, jaxpr.eqns))


def _is_other(equation: core.JaxprEqn) -> bool:
  name, params = equation.primitive.name, equation.params
  if name == _NAME:
    usual = _usual(equation.outvars[0].aval.ndim)
    return params["dimension_numbers"] != usual
  return name not in _CLOSED and any(
    map(_has_others, traced.programs_in(list(params.values())))
  )


def _evaluate(program: core.ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
  jaxpr = program.jaxpr
  values = dict(zip(jaxpr.constvars, program.consts, strict=True))
  values |= dict(zip(jaxpr.invars, arguments, strict=True))

  def read(atoms: Sequence[Any]) -> list[Any]:
    return [
      atom.val if isinstance(atom, core.Literal) else values[atom]
      for atom in atoms
    ]

  for equation in jaxpr.eqns:
    inputs = read(equation.invars)
    if not _is_other(equation):
      outputs = traced.bind(equation, inputs)
    elif equation.primitive.name == _NAME:
      outputs = [convolve(equation.params, *inputs)]
    else:
      outputs = traced.bind(_ordered_within(equation), inputs)
    values |= dict(zip(equation.outvars, outputs, strict=True))
  return read(jaxpr.outvars)


def _ordered_within(equation: core.JaxprEqn) -> core.JaxprEqn:
  """The equation, with the usual order in the programs that it calls."""
  params = {key: _ordered(value) for key, value in equation.params.items()}
  return equation.replace(params=params)


def _ordered(value: Any) -> Any:
  if isinstance(value, core.ClosedJaxpr):
    return order_axes(value)
  if isinstance(value, core.Jaxpr):
    return order_axes(core.ClosedJaxpr(value, ())).jaxpr
  if isinstance(value, list | tuple):
    return type(value)(map(_ordered, value))
  return value
