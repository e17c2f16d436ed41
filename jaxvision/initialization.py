"""Fresh variables of a model, compiled quickly.

A network has hundreds of random kernels but few distinct shapes of them. XLA
compiles the generator anew for every kernel, which takes longer than the
training step's own compilation for the deepest networks. So random numbers of
equal shape and distribution are drawn together, with one key each: the values
are bit for bit those of `model.init`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.extend.core
import jax.numpy as jnp

Tree = Any
Environment = dict[Any, jax.Array]

# Operations on keys that are worth drawing together, besides whole calls such
# as the one of `jax.random.normal`.
_ON_KEYS = ("random_bits", "random_fold_in", "random_split")


def init_variables(
  model: nn.Module, seed: int, image_shape: tuple[int, int, int]
) -> Tree:
  """Fresh variables of a model for images (h, w, c); call it under jit."""
  images = jnp.zeros((1, *image_shape), jnp.float32)
  init = functools.partial(model.init, images=images, train=False)
  return _together(init, jax.random.key(seed))


def _together(function, key: jax.Array) -> Tree:
  """Returns function(key), its equal random draws vectorised."""
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(key)
  jaxpr = closed.jaxpr
  known: Environment = {
    **dict(zip(jaxpr.constvars, closed.consts, strict=True)),
    **dict(zip(jaxpr.invars, [key], strict=True)),
  }
  waiting = _needed(jaxpr)
  while waiting:
    ready = [each for each in waiting if _is_ready(each, known)]
    cheap = [each for each in ready if not _draws(each)]
    for equation in cheap:
      _evaluate([equation], known)
    if not cheap:
      for group in _groups(ready):
        _evaluate(group, known)
    waiting = [each for each in waiting if each.outvars[0] not in known]
  leaves = [v.val if _is_literal(v) else known[v] for v in jaxpr.outvars]
  return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _is_literal(variable: Any) -> bool:
  return isinstance(variable, jax.extend.core.Literal)


def _is_ready(equation: Any, known: Environment) -> bool:
  return all(_is_literal(v) or v in known for v in equation.invars)


def _needed(jaxpr: Any) -> list[Any]:
  """Returns the equations that the outputs need: not the forward pass."""
  wanted = {v for v in jaxpr.outvars if not _is_literal(v)}
  equations = []
  for equation in reversed(jaxpr.eqns):
    if wanted.intersection(equation.outvars):
      equations.append(equation)
      wanted.update(v for v in equation.invars if not _is_literal(v))
  return equations[::-1]


def _draws(equation: Any) -> bool:
  """Whether an equation generates random bits, itself or in a call."""
  if equation.primitive.name in _ON_KEYS:
    return True
  inner = equation.params.get("jaxpr")
  return inner is not None and any(_draws(e) for e in inner.jaxpr.eqns)


def _groups(equations: Sequence[Any]) -> list[list[Any]]:
  """Returns the equations that differ in nothing but the values they read."""
  groups: dict[Any, list[Any]] = {}
  for equation in equations:
    inner = equation.params.get("jaxpr")
    kind = (
      equation.primitive.name,
      str(equation.params) if inner is None else id(inner),
      tuple(str(v.aval) for v in equation.invars),
    )
    groups.setdefault(kind, []).append(equation)
  return list(groups.values())


def _evaluate(group: Sequence[Any], known: Environment) -> None:
  """Adds the outputs of equal equations to what is known."""
  call = _function(group[0])
  if len(group) == 1:
    known.update(_outputs(group[0], call(*_inputs(group[0], known))))
    return
  inputs = zip(*(_inputs(each, known) for each in group), strict=True)
  outputs = jax.vmap(call)(*(jnp.stack(each) for each in inputs))
  for i, equation in enumerate(group):
    known.update(_outputs(equation, [each[i] for each in outputs]))


def _inputs(equation: Any, known: Environment) -> list[jax.Array]:
  return [v.val if _is_literal(v) else known[v] for v in equation.invars]


def _outputs(equation: Any, values: Sequence[jax.Array]) -> Environment:
  return dict(zip(equation.outvars, values, strict=True))


def _function(equation: Any) -> Callable[..., list[jax.Array]]:
  """Returns an equation as a function of all that it reads."""
  arguments = [jax.extend.core.Var(v.aval) for v in equation.invars]
  jaxpr = jax.extend.core.Jaxpr(
    (), arguments, equation.outvars, [equation.replace(invars=arguments)]
  )
  return jax.extend.core.jaxpr_as_fun(jax.extend.core.ClosedJaxpr(jaxpr, ()))
