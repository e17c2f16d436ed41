"""A policy over the points of a space: an LSTM with one softmax per decision.

The input of a step is the embedding of the label of the previous decision, and
a learned vector at the first step. Each decision has its own embedding and its
own softmax. Labels that a decision lacks have probability 0.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Policy:
  """The shape of a policy.

  Attributes:
    counts: number of labels of each decision.
    units: width of the LSTM and of the embeddings.
    bound: the logits are bound * tanh(logits); None for no bound.
  """

  counts: tuple[int, ...]
  units: int
  bound: float | None = None


def init_params(policy: Policy, key: jax.Array) -> Params:
  """Draws all parameters uniformly from -0.1 to 0.1, as NASNet and ENAS do."""
  keys = jax.random.split(key, 4)
  decisions, labels = len(policy.counts), max(policy.counts)
  state = jnp.zeros((policy.units,))
  return {
    "cell": _cell(policy).init(keys[0], (state, state), state)["params"],
    "start": _draw(keys[1], (policy.units,)),
    "embeddings": _draw(keys[2], (decisions, labels, policy.units)),
    "softmax": _draw(keys[3], (decisions, policy.units, labels)),
  }


def sample(
  policy: Policy, params: Params, key: jax.Array, *, temperature: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Draws one child.

  Args:
    policy: the shape of the policy.
    params: its parameters.
    key: of the draw.
    temperature: the logits are divided by it; 1 is the policy itself.

  Returns:
    (d,) int32 labels and (d,) float32 logarithms of the probabilities with
    which they were drawn, each given the labels before.
  """

  def choose(log_probs: jax.Array, place: jax.Array) -> jax.Array:
    return jax.random.categorical(jax.random.fold_in(key, place), log_probs)

  labels, log_probs, _ = _unroll(policy, params, choose, temperature)
  return labels, log_probs


def evaluate(
  policy: Policy, params: Params, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Evaluates the policy at one child.

  Args:
    policy: the shape of the policy.
    params: its parameters.
    labels: (d,) int labels of the child.

  Returns:
    (d,) logarithms of the probabilities, and (d,) entropies of the decisions
    in nats, each given the labels before.
  """
  _, log_probs, entropies = _unroll(
    policy, params, lambda _, place: labels[place], 1.0
  )
  return log_probs, entropies


def _unroll(
  policy: Policy,
  params: Params,
  choose: Callable[[jax.Array, jax.Array], jax.Array],
  temperature: jax.Array | float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Runs the LSTM over the decisions; choose(log_probs (k,), place) -> label.

  Returns:
    (d,) labels, (d,) logarithms of their probabilities, (d,) entropies.
  """
  cell = _cell(policy)
  exists = jnp.arange(max(policy.counts)) < jnp.array(policy.counts)[:, None]

  def step(carry, place):
    state, given = carry
    state, output = cell.apply({"params": params["cell"]}, state, given)
    logits = output @ params["softmax"][place]
    if policy.bound is not None:
      logits = policy.bound * jnp.tanh(logits)
    there = exists[place]
    log_probs = jax.nn.log_softmax(logits / temperature, where=there)
    label = choose(jnp.where(there, log_probs, -jnp.inf), place)
    entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, where=there)
    given = params["embeddings"][place, label]
    return (state, given), (label, log_probs[label], entropy)

  zeros = jnp.zeros((policy.units,))
  _, found = jax.lax.scan(
    step, ((zeros, zeros), params["start"]), jnp.arange(len(policy.counts))
  )
  return found


def _cell(policy: Policy) -> nn.OptimizedLSTMCell:
  return nn.OptimizedLSTMCell(
    policy.units,
    kernel_init=_draw,
    recurrent_kernel_init=_draw,
    bias_init=_draw,
    parent=None,
  )


def _draw(
  key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32
) -> jax.Array:
  return jax.random.uniform(key, shape, dtype, -0.1, 0.1)
