"""The chain of an optimizer: optax's optimizer by name, with parameter rules.

Rules are `(pattern, multiplier)` pairs over parameter paths (see
`trees.match_rules`). Parameters with the same two multipliers form a group.
Each group has its own optax optimizer, with

  learning rate = multiplier * schedule(step); None freezes the group;
  weight decay  = multiplier * weight_decay.

adafactor, adamw, lamb, lars, lion, muon and sgdw have a weight decay of their
own, which is multiplied by the learning rate (and its multiplier). For sgd,
adagrad, rmsprop and adam the decay is added to the gradient, as an L2 penalty,
as in the papers and in torch.

The order of a step: frozen gradients are set to 0, so the norm excludes them;
the gradient is clipped; each group is updated; each update is multiplied by its
factor of the learning rate, if there are factors. Sharpness-aware minimisation
wraps the complete chain. A momentum that changes during training is a number of
the state, which is computed from the count of updates.

With `turns`, each named part of the parameters has such a chain of its own, and
an update of one part leaves the parameters and the state of the others as they
are.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax.typing import DTypeLike

from jaxvision import lookup, trees
from jaxvision.lookup import ranges
from jaxvision.optimizers.adafactor import adafactor
from jaxvision.optimizers.muon import muon_dimensions
from jaxvision.optimizers.sharpness_aware import sharpness_aware
from jaxvision.optimizers.state_dtype import with_state_dtype
from jaxvision.optimizers.turns import by_part
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
  """SGD with a weight decay that does not enter the momentum.

  Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, Algorithm 1.
  As in adamw, the decay is multiplied by the learning rate. With a momentum of
  0.9, it needs ten times the decay of sgd for the same effect.
  """
  # With the rate -1, optax.sgd applies the momentum only.
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
  "adafactor": adafactor,
  "adamw": optax.adamw,
  "lamb": optax.lamb,
  "lars": optax.lars,
  "lion": optax.lion,
  "muon": optax.contrib.muon,
  "sgdw": sgdw,
}

# Names of the momentum, as the first one that an optimizer has.
_MOMENTA = ("momentum", "b1")

_FROZEN = "frozen"
# Types of optax's parameters, more precise than optax's annotations.
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
  turns: Mapping[str, int] | None = None,
  momentum: Schedule | None = None,
) -> Optimizer:
  """Returns the optimizer with this name for parameters like `params`.

  Its `update` accepts extra arguments. With `sam_radius` it needs one:
  `update(grads, state, params, grad_fn=grad_fn)`, where grad_fn(params, i) is
  the gradient on the same batch.

  Args:
    name: a key of `COUPLED_DECAY` or `OWN_DECAY`; or "FILE.py:FUNCTION" for the
      user's own optimizer, which applies the decay itself if it has an argument
      `weight_decay`.
    learning_rate: function of the step.
    params: tree of arrays or shapes; only paths are used.
    weight_decay: per step; see above.
    weight_decay_rules: multipliers of the weight decay.
    learning_rate_rules: multipliers of the learning rate; None freezes.
    learning_rate_factors: further multipliers, a tree of numbers like `params`,
      such as `blocks.rate_factors`.
    gradient_clip: largest global norm of the gradient; 0 for no clipping.
    sam_radius: rho of Foret et al. 2021, the distance along the gradient at
      which the second gradient is computed; 0 for no SAM.
    state_dtype: type of the floating-point arrays of the state between steps;
      each step computes in float32. None for optax's choice, mostly the type of
      the parameters.
    options: keyword arguments of the optax function. Types such as `mu_dtype`
      may be strings: "bfloat16".
    turns: the number of updates in a step of each part of the parameters, by
      the first name of their paths; see `turns.by_part`. None for one update of
      all parameters.
    momentum: function of the step, the option "momentum" of the optax function,
      or its option "b1" if it has no momentum. None for the constant of the
      options.

  Raises:
    ValueError: the name or an option is unknown, a parameter matches no rule, a
      rule matches no parameter, all parameters are frozen, `turns` do not name
      the parts of the parameters, or the optimizer cannot change its momentum.
  """
  function = _function(name)
  make = lookup.bind(
    function,
    options or {},
    "optimizer.options",
    reserved=_RESERVED,
    types=None if lookup.is_own(name) else _TYPES | _TYPES_OF.get(name, {}),
  )
  changing = _momentum_option(name, function, options or {}) if momentum else ""
  labels, groups = _groups(
    params, weight_decay, weight_decay_rules, learning_rate_rules
  )
  factors = learning_rate_factors

  def chain(labels: Any, factors: Any, updates: int = 1) -> Optimizer:
    used = set(jax.tree.leaves(labels))
    rate = _slower(learning_rate, updates)
    own = (
      _with_momentum(make, changing, momentum, updates) if momentum else make
    )
    found = {
      label: _checked(_for_group(name, function, own, rate, *each), name)
      for label, each in groups.items()
      if label in used
    }
    optimizer = _chain(found, labels, factors, gradient_clip, sam_radius)
    return (
      with_state_dtype(optimizer, state_dtype) if state_dtype else optimizer
    )

  if turns is None:
    return chain(labels, factors)
  if set(turns) != set(params):
    raise ValueError(
      f"turns update {', '.join(turns)}, but the parameters are "
      f"{', '.join(params)}; name each part once"
    )
  return by_part(
    {
      part: chain(
        {part: labels[part]},
        None if factors is None else {part: factors[part]},
        updates,
      )
      for part, updates in turns.items()
    }
  )


def _slower(schedule: Schedule, updates: int) -> Schedule:
  """The schedule of steps, for an optimizer that counts updates."""
  return schedule if updates == 1 else lambda count: schedule(count // updates)


def _momentum_option(
  name: str, function: Callable[..., Any], options: Mapping[str, Any]
) -> str:
  """The option of an optimizer that is its momentum."""
  known = inspect.signature(function).parameters
  found = [each for each in _MOMENTA if each in known]
  if not found:
    raise ValueError(
      f"schedule.momentum: {lookup.as_written(name)} has no option "
      f"{' or '.join(_MOMENTA)}; set schedule.momentum to (), or use another "
      "optimizer.name, such as sgd or adamw"
    )
  if found[0] in options:
    raise ValueError(
      f"optimizer.options has {found[0]} {options[found[0]]!r}, and "
      f"schedule.momentum changes it; leave {found[0]} out of the options, or "
      "set schedule.momentum to ()"
    )
  return found[0]


def _with_momentum(
  make: Callable[..., optax.GradientTransformation],
  option: str,
  momentum: Schedule,
  updates: int,
) -> Callable[..., optax.GradientTransformation]:
  """`make` of an optimizer whose option changes during training."""

  def made(*arguments: Any, **named: Any) -> optax.GradientTransformation:
    return optax.inject_hyperparams(
      lambda momentum: make(*arguments, **named, **{option: momentum}),
      hyperparam_dtype=jnp.float32,
    )(momentum=_slower(momentum, updates))

  return made


def _chain(
  groups: Mapping[str, optax.GradientTransformation],
  labels: Any,
  factors: Any,
  gradient_clip: float,
  sam_radius: float,
) -> Optimizer:
  """The complete chain of parameters with these labels."""
  frozen = jax.tree.map(lambda label: label == _FROZEN, labels)
  steps = [optax.freeze(frozen)] if _FROZEN in groups else []
  if gradient_clip:
    steps.append(optax.clip_by_global_norm(gradient_clip))
  if len(groups) > 1:
    steps.append(optax.partition(groups, labels))
  else:
    steps.extend(groups.values())
  if factors is not None:
    steps.append(_multiply(factors))
  optimizer = optax.chain(*steps)
  if sam_radius:
    optimizer = sharpness_aware(optimizer, sam_radius, frozen)
  return optax.with_extra_args_support(optimizer)


def _checked(optimizer: Any, name: str) -> optax.GradientTransformation:
  """Returns the result of the function, after a check of its type."""
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
  """The label of each parameter, and {label: (multiplier, decay)}."""
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
      "optimizer.weight_decay_rules: None is not a multiplier; write 0.0 for "
      "no decay, or None in optimizer.learning_rate_rules to freeze"
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
  """The optax optimizer with the rate and decay of one group."""
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
  """Multiplies each update by its factor, as the last transformation.

  Groups instead of factors would need an optimizer per factor.
  """
  return optax.stateless(
    lambda updates, params: jax.tree.map(
      lambda factor, update: factor * update, factors, updates
    )
  )
