"""Policy gradients: the update of a policy by a batch of children.

PPO (Schulman et al. 2017, arXiv 1707.06347, equation 7) maximises, over several
epochs on one batch, the mean over the children of the sum over the decisions of

  min(r A, clip(r, 1 - clip, 1 + clip) A),    r = p(label) / p_drawn(label)

REINFORCE (Williams 1992) does one step on the sum of log p(label) A. A is the
value of the child minus a baseline, the moving average of the values of the
children before the batch. The entropies of the decisions are added, times a
weight. The optimizer is Adam.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvision.sweeps.search import policy as policies
from jaxvision.sweeps.search.policy import Params, Policy


@dataclasses.dataclass(frozen=True)
class Rule:
  """The settings of an update.

  Attributes:
    batch: number of children of an update.
    learning_rate: of Adam.
    entropy: weight of the entropy.
    baseline: decay of the moving average, per child.
    epochs: number of steps of Adam per batch.
    clip: largest change of a probability ratio by PPO; None for REINFORCE.
  """

  batch: int
  learning_rate: float
  entropy: float
  baseline: float
  epochs: int
  clip: float | None


@dataclasses.dataclass(frozen=True)
class State:
  """What a controller has learned.

  Attributes:
    params: of the policy.
    moments: state of Adam.
    baseline: moving average of the values; None before the first batch.
    worst: the worst value of a child that did not fail; inf if there is none.
  """

  params: Params
  moments: Any
  baseline: float | None = None
  worst: float = np.inf


def init_state(policy: Policy, rule: Rule, key: jax.Array) -> State:
  """Returns the state before the first batch."""
  return State(*_init(policy, rule, key))


def update(
  policy: Policy,
  rule: Rule,
  state: State,
  *,
  labels: np.ndarray,
  drawn: np.ndarray,
  values: np.ndarray,
) -> State:
  """Returns the state after one batch of children.

  The baseline of the first batch is its own mean. A child that failed counts as
  the worst child so far that did not fail.

  Args:
    policy: the shape of the policy.
    rule: the settings.
    state: the state before.
    labels: (b, d) int labels of the children.
    drawn: (b, d) log-probabilities with which the labels were drawn.
    values: (b,) values, larger is better; -inf for a child that failed.
  """
  finite = values[np.isfinite(values)]
  worst = min(state.worst, *finite) if finite.size else state.worst
  values = np.where(np.isfinite(values), values, worst)
  if not np.isfinite(worst):
    return state  # Nothing is known: all children so far have failed.
  before = values.mean() if state.baseline is None else state.baseline
  baseline = before
  for value in values:
    baseline = rule.baseline * baseline + (1 - rule.baseline) * value
  params, moments = _climb(
    policy,
    rule,
    state.params,
    state.moments,
    jnp.asarray(labels, jnp.int32),
    jnp.asarray(drawn, jnp.float32),
    jnp.asarray(values - before, jnp.float32),
  )
  return State(params, moments, float(baseline), float(worst))


def objective(
  policy: Policy,
  rule: Rule,
  params: Params,
  labels: jax.Array,
  drawn: jax.Array,
  advantages: jax.Array,
) -> jax.Array:
  """Returns the scalar that an update maximises.

  Args:
    policy: the shape of the policy.
    rule: the settings.
    params: of the policy.
    labels: (b, d) int32 labels.
    drawn: (b, d) float32 log-probabilities with which they were drawn.
    advantages: (b,) float32.
  """
  log_probs, entropies = jax.vmap(
    functools.partial(policies.evaluate, policy, params)
  )(labels)
  gains = advantages[:, None]
  if rule.clip is None:
    terms = log_probs * gains
  else:
    ratios = jnp.exp(log_probs - drawn)
    clipped = jnp.clip(ratios, 1 - rule.clip, 1 + rule.clip)
    terms = jnp.minimum(ratios * gains, clipped * gains)
  return jnp.mean(jnp.sum(terms + rule.entropy * entropies, axis=-1))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _init(policy: Policy, rule: Rule, key: jax.Array) -> tuple[Params, Any]:
  params = policies.init_params(policy, key)
  return params, _adam(rule).init(params)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _climb(
  policy: Policy, rule: Rule, params: Params, moments: Any, *batch: jax.Array
) -> tuple[Params, Any]:
  """The steps of Adam on one batch."""

  def step(carry, _):
    params, moments = carry
    slope = jax.grad(lambda p: -objective(policy, rule, p, *batch))(params)
    changes, moments = _adam(rule).update(slope, moments)
    return (optax.apply_updates(params, changes), moments), None

  return jax.lax.scan(step, (params, moments), length=rule.epochs)[0]


def _adam(rule: Rule) -> optax.GradientTransformation:
  return optax.adam(rule.learning_rate)
