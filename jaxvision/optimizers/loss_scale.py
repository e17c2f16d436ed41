"""Dynamic loss scaling, for products in float16.

float16 has no numbers between 0 and 6e-8, so many gradients of activations
become 0. The loss is multiplied by a scale, and the gradient of the parameters
is divided by it (Micikevicius et al. 2018, Mixed Precision Training).

The scale is the largest that works, as in torch.amp.GradScaler: it begins at
2^16. An update whose gradient is not finite is left out, and halves the scale.
2000 finite updates in a row double it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Optimizer = optax.GradientTransformationExtraArgs

FIRST, INTERVAL = 2.0**16, 2000


class ScaledState(NamedTuple):
  """The state of an optimizer with a loss scale.

  Attributes:
    scale: () float32, of the loss.
    good: () int32, the finite updates since the scale has changed.
    inner: the state of the optimizer.
  """

  scale: jax.Array
  good: jax.Array
  inner: Any


def with_loss_scale(optimizer: Optimizer) -> Optimizer:
  """An optimizer that leaves out updates whose gradient is not finite.

  Its `update` takes the gradient after the division by `state.scale`.
  """

  def init(params: Any) -> ScaledState:
    scale, good = jnp.float32(FIRST), jnp.int32(0)
    return ScaledState(scale, good, optimizer.init(params))

  def update(
    updates: Any, state: ScaledState, params: Any = None, **extra: Any
  ):
    finite = is_finite(updates)
    made, inner = optimizer.update(updates, state.inner, params, **extra)
    made = jax.tree.map(lambda x: jnp.where(finite, x, 0), made)
    inner = choose(finite, inner, state.inner)
    grows = state.good + 1 >= INTERVAL
    scale = jnp.where(
      finite,
      jnp.where(grows, 2 * state.scale, state.scale),
      state.scale / 2,
    )
    good = jnp.where(finite & ~grows, state.good + 1, 0)
    return made, ScaledState(scale, good, inner)

  return optax.GradientTransformationExtraArgs(init, update)


def choose(finite: jax.Array, new: Any, old: Any) -> Any:
  """The new tree if an update is finite, else the old one."""
  return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)


def is_finite(tree: Any) -> jax.Array:
  """Whether all numbers of a tree are finite, () bool."""
  each = [jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]
  return jnp.stack(each).all()
