"""Proposals of a policy that learns from the history of a search.

The parameters after a history are recomputed from it, one update per batch of
children. So the storage needs only the children, and a search that continues
after a crash has the same parameters. A process keeps the last state, so that
it computes each update once.

The computations run on the CPU, so that a search does not depend on the
accelerator of a worker.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.sweeps.search import contract, learning
from jaxvision.sweeps.search import policy as policies
from jaxvision.sweeps.search.contract import Child, Identify, Proposal
from jaxvision.sweeps.search.learning import Rule, State
from jaxvision.sweeps.search.policy import Params, Policy

_DRAWS = 8  # at one temperature
_TEMPERATURES = 4  # per call of the compiled function
_KEPT = 4  # searches of which a process keeps the last state


def propose(
  policy: Policy,
  rule: Rule,
  ended: Sequence[Child],
  running: Sequence[Child],
  *,
  seed: int,
  number: int,
  identify: Identify,
) -> Proposal:
  """Draws a new child from the policy after the ended children.

  If the first draws are all known, later draws are at higher temperatures.

  Args:
    policy: the shape of the policy.
    rule: the settings of its updates.
    ended, running: the history, as in `contract.Searcher`.
    seed: seed of the initial parameters and of the draws.
    number: number of the new child.
    identify: as in `contract.Searcher`.

  Returns:
    The child. Its notes are "log_probs", with which its labels were drawn, and
    "updates", the number of updates before it.
  """
  updates = len(ended) // rule.batch
  learned = list(ended[: updates * rule.batch])
  with _on_cpu():
    state = _state_after(policy, rule, learned, seed=seed)
    _, key = _keys(seed)
    draws = _draws(policy, state.params, jax.random.fold_in(key, number))
    return contract.distinct(
      lambda: _proposal(*next(draws), updates=updates),
      [*ended, *running],
      identify=identify,
    )


def _state_after(
  policy: Policy, rule: Rule, children: list[Child], *, seed: int
) -> State:
  """The state after whole batches; computes only updates that are new."""
  memory = _memory(policy, rule, seed)
  known = memory["children"]
  if known != children[: len(known)]:
    known = []
    memory["state"] = learning.init_state(policy, rule, _keys(seed)[0])
  for start in range(len(known), len(children), rule.batch):
    batch = children[start : start + rule.batch]
    memory["state"] = learning.update(
      policy,
      rule,
      memory["state"],
      labels=np.array([child.picks for child in batch]),
      drawn=np.array([child.notes["log_probs"] for child in batch]),
      values=np.array([child.value for child in batch]),
    )
  memory["children"] = children
  return memory["state"]


@functools.lru_cache(maxsize=_KEPT)
def _memory(policy: Policy, rule: Rule, seed: int) -> dict[str, Any]:
  """The last state of a search in this process, which `_state_after` moves."""
  return {
    "children": [],
    "state": learning.init_state(policy, rule, _keys(seed)[0]),
  }


def _keys(seed: int) -> tuple[jax.Array, jax.Array]:
  """The keys of the initial parameters and of the draws."""
  initial, draws = jax.random.split(jax.random.key(seed % 2**32))
  return initial, draws


def _draws(
  policy: Policy, params: Params, key: jax.Array
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields draws: some at the temperature 1, then some at 2, 4, 8, ..."""
  for block in itertools.count():
    labels, log_probs = _draw_block(policy, params, key, block)
    yield from zip(np.asarray(labels), np.asarray(log_probs), strict=True)


@functools.partial(jax.jit, static_argnums=0)
def _draw_block(
  policy: Policy, params: Params, key: jax.Array, block: int
) -> tuple[jax.Array, jax.Array]:
  """(n, d) labels and (n, d) logarithms of their probabilities."""
  doublings = jnp.repeat(jnp.arange(_TEMPERATURES), _DRAWS)
  temperatures = 2.0 ** (doublings + _TEMPERATURES * block)
  keys = jax.random.split(jax.random.fold_in(key, block), len(doublings))

  def draw(key: jax.Array, temperature: jax.Array) -> Any:
    return policies.sample(policy, params, key, temperature=temperature)

  return jax.vmap(draw)(keys, temperatures)


def _proposal(
  labels: np.ndarray, log_probs: np.ndarray, *, updates: int
) -> Proposal:
  notes = {"log_probs": log_probs.tolist(), "updates": updates}
  return Proposal(tuple(labels.tolist()), notes)


def _on_cpu() -> contextlib.AbstractContextManager[Any]:
  """A context for computations on the CPU, if JAX may use it."""
  try:
    return jax.default_device(jax.local_devices(backend="cpu")[0])
  except RuntimeError:  # JAX_PLATFORMS excludes the CPU.
    return contextlib.nullcontext()
