"""Optimizers by optax's names, with rules that say what applies to what.

Rules are `(pattern, multiplier)` pairs over parameter paths (see
`trees.match_rules`). Parameters that share their two multipliers form a group;
each group is optimised by optax's own function, in which

  learning rate = multiplier * schedule(step), and None freezes;
  weight decay  = multiplier * weight_decay.

Where the decay enters is the optimizer's own matter: adamw, lamb, lars, lion,
muon and sgdw have one (it is multiplied by the learning rate, so by its
multiplier too); for sgd, adagrad, rmsprop and adam it is added to the gradient
first, as an L2 penalty would be (in the papers, and in torch).

The order of a step: frozen gradients are set to 0, so that they do not count in
the norm; the gradient is clipped; each group is updated; each update is
multiplied by its own factor of the learning rate, if there are such factors.
Sharpness-aware minimisation goes around all of it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import optax
import optax.contrib
from jax.typing import DTypeLike

from jaxvision import lookup, trees
from jaxvision.lookup import ranges
from jaxvision.optimizers.muon import muon_dimensions
from jaxvision.optimizers.sharpness_aware import sharpness_aware
from jaxvision.optimizers.state_dtype import kept_in
from jaxvision.schedules import Schedule

Optimizer = optax.GradientTransformationExtraArgs
Rules = Sequence[tuple[str, float | None]]


def sgdw(
  learning_rate: Schedule,
  *,
  momentum: ranges.Rate | None = None,
  nesterov: bool = False,
  accumulator_dtype: Any = None,
  weight_decay: float = 0.0,
) -> optax.GradientTransformation:
  """SGD whose weight decay does not go through the momentum.

  Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, Algorithm 1;
  here, as for adamw, the decay is multiplied by the learning rate. With a
  momentum of 0.9 it takes ten times the decay of sgd to the same effect.
  """
  # At the rate -1 optax.sgd is its momentum alone.
  return optax.chain(
    optax.sgd(-1.0, momentum, nesterov, accumulator_dtype),
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_learning_rate(learning_rate),
  )


COUPLED_DECAY: Mapping[str, Callable[..., optax.GradientTransformation]] = {
  "sgd": optax.sgd,
  "adagrad": optax.adagrad,
  "rmsprop": optax.rmsprop,
  "adam": optax.adam,
}
OWN_DECAY: Mapping[str, Callable[..., optax.GradientTransformation]] = {
  "adamw": optax.adamw,
  "lamb": optax.lamb,
  "lars": optax.lars,
  "lion": optax.lion,
  "muon": optax.contrib.muon,
  "sgdw": sgdw,
}

_FROZEN = "frozen"
# Of optax's parameters, whose own types say no more than "a number".
_TYPES = {
  **dict.fromkeys(
    ("b1", "b2", "beta", "decay", "adam_b1", "adam_b2"), ranges.Rate
  ),
  **dict.fromkeys(
    ("eps", "eps_root", "adam_eps_root", "initial_scale"), ranges.NonNegative
  ),
  "initial_accumulator_value": ranges.NonNegative,
  "trust_coefficient": ranges.Positive,
  "ns_steps": ranges.Count,
  "consistent_rms": ranges.Positive | None,
  "momentum": ranges.Rate | None,
}
_TYPES_OF = {"lars": {"momentum": ranges.Rate}}
_RESERVED = {
  "learning_rate": "set optimizer.learning_rate",
  "adam_learning_rate": "set optimizer.learning_rate_rules",
  "weight_decay": "set optimizer.weight_decay",
  "adam_weight_decay": "set optimizer.weight_decay",
  "mask": "set optimizer.weight_decay_rules",
  "weight_decay_mask": "set optimizer.weight_decay_rules",
  "muon_weight_dimension_numbers": "names and shapes decide",
}


def create(
  name: str,
  *,
  learning_rate: Schedule,
  params: Any,
  weight_decay: float = 0.0,
  weight_decay_rules: Rules = ((".*", 1.0),),
  learning_rate_rules: Rules = ((".*", 1.0),),
  learning_rate_factors: Any = None,
  gradient_clip: float = 0.0,
  sam_radius: float = 0.0,
  state_dtype: DTypeLike | None = None,
  options: Mapping[str, Any] | None = None,
) -> Optimizer:
  """Returns the optimizer called `name` for parameters like `params`.

  Its `update` accepts extra arguments. With a `sam_radius` it needs one:
  `update(grads, state, params, grad_fn=grad_fn)`, where grad_fn(params, i) is
  the gradient of the same batch.

  Args:
    name: a key of `COUPLED_DECAY` or `OWN_DECAY`; or "FILE.py:FUNCTION" of the
      user's own, whose decay is its own matter if it takes a `weight_decay`.
    learning_rate: function of the step.
    params: tree of arrays or their shapes, of which only paths are read.
    weight_decay: per step; see above.
    weight_decay_rules: multipliers of the weight decay.
    learning_rate_rules: multipliers of the learning rate; None freezes.
    learning_rate_factors: further multipliers, a tree of numbers like `params`,
      such as `blocks.rate_factors`.
    gradient_clip: largest global norm of the gradient; 0 is off.
    sam_radius: rho of Foret et al. 2021, how far along the gradient the second
      gradient is taken; 0 is off.
    state_dtype: what arrays of numbers are kept in from step to step, whatever
      the parameters are; each step computes in float32. None leaves it to
      optax, which keeps most as it finds the parameters.
    options: keyword arguments of the optax function. Types such as `mu_dtype`
      may be strings: "bfloat16".

  Raises:
    ValueError: the name or an option is unknown, a parameter matches no rule, a
      rule matches no parameter, or all parameters are frozen.
  """
  function = _function(name)
  make = lookup.bind(
    function,
    options or {},
    "optimizer.options",
    reserved=_RESERVED,
    types=None if lookup.is_own(name) else _TYPES | _TYPES_OF.get(name, {}),
  )
  labels, groups = _groups(
    params, weight_decay, weight_decay_rules, learning_rate_rules
  )
  frozen = jax.tree.map(lambda label: label == _FROZEN, labels)
  steps = [optax.freeze(frozen)] if _FROZEN in groups else []
  if gradient_clip:
    steps.append(optax.clip_by_global_norm(gradient_clip))
  optimizers = {
    label: _checked(
      _for_group(name, function, make, learning_rate, rate, decay), name
    )
    for label, (rate, decay) in groups.items()
  }
  if len(optimizers) > 1:
    steps.append(optax.partition(optimizers, labels))
  else:
    steps.extend(optimizers.values())
  if learning_rate_factors is not None:
    steps.append(_multiply(learning_rate_factors))
  optimizer = optax.chain(*steps)
  if sam_radius:
    optimizer = sharpness_aware(optimizer, sam_radius, frozen)
  optimizer = optax.with_extra_args_support(optimizer)
  return kept_in(optimizer, state_dtype) if state_dtype else optimizer


def _checked(optimizer: Any, name: str) -> optax.GradientTransformation:
  """What a function has made, if it is an optimizer."""
  if not isinstance(optimizer, optax.GradientTransformation):
    found = f"{lookup.as_written(name)} returned {type(optimizer).__name__}"
    raise ValueError(f"optimizer {found}; expected an optax transformation")
  return optimizer


def _function(name: str) -> Callable[..., optax.GradientTransformation]:
  functions = {**COUPLED_DECAY, **OWN_DECAY}
  return lookup.find(name, functions, kind="optimizer")


def _groups(
  params: Any,
  weight_decay: float,
  weight_decay_rules: Rules,
  learning_rate_rules: Rules,
) -> tuple[Any, dict[str, tuple[float | None, float]]]:
  """The label of each parameter, and by label the multiplier and the decay."""
  decays = trees.match_rules(
    weight_decay_rules, params, where="optimizer.weight_decay_rules"
  )
  rates = trees.match_rules(
    learning_rate_rules, params, where="optimizer.learning_rate_rules"
  )
  rates, decays = (
    jax.tree.leaves(tree, is_leaf=lambda value: value is None)
    for tree in (rates, decays)
  )
  if None in decays:
    raise ValueError(
      "optimizer.weight_decay_rules: None is no multiplier; write 0.0 for no "
      "decay, or None in optimizer.learning_rate_rules to freeze"
    )
  decays = [weight_decay * each for each in decays]
  names = [
    _FROZEN if rate is None else f"rate_{rate}_decay_{decay}"
    for rate, decay in zip(rates, decays, strict=True)
  ]
  if set(names) <= {_FROZEN}:
    raise ValueError(
      "optimizer.learning_rate_rules freeze every parameter; at least one must "
      "have a multiplier instead of None"
    )
  labels = jax.tree.unflatten(jax.tree.structure(params), names)
  groups = zip(rates, decays, strict=True)
  return labels, dict(zip(names, groups, strict=True))


def _for_group(
  name: str,
  function: Callable[..., optax.GradientTransformation],
  make: Callable[..., optax.GradientTransformation],
  learning_rate: Schedule,
  rate: float | None,
  decay: float,
) -> optax.GradientTransformation:
  """Optax's optimizer with the rate and decay of one group."""
  if rate is None:
    return optax.set_to_zero()

  def schedule(step: Any) -> jax.Array:
    return rate * learning_rate(step)

  if name == "muon":
    return make(
      schedule,
      weight_decay=decay,
      adam_weight_decay=decay,
      muon_weight_dimension_numbers=muon_dimensions,
    )
  if "weight_decay" in inspect.signature(function).parameters:
    return make(schedule, weight_decay=decay)
  if not decay:
    return make(schedule)
  return optax.chain(optax.add_decayed_weights(decay), make(schedule))


def _multiply(factors: Any) -> optax.GradientTransformation:
  """Multiplies each update by its factor, after all else.

  Groups of their own would cost an optimizer for each factor.
  """
  return optax.stateless(
    lambda updates, params: jax.tree.map(
      lambda factor, update: factor * update, factors, updates
    )
  )
