"""The type of an optimizer's state between steps."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

Optimizer = optax.GradientTransformationExtraArgs


def with_state_dtype(optimizer: Optimizer, dtype: DTypeLike) -> Optimizer:
  """An optimizer that computes in float32 and stores its state in `dtype`."""

  def init(params: Any) -> Any:
    return _cast(optimizer.init(params), dtype)

  def update(updates: Any, state: Any, params: Any = None, **extra: Any):
    updates, state, params = (
      _cast(tree, "float32") for tree in (updates, state, params)
    )
    updates, state = optimizer.update(updates, state, params, **extra)
    return updates, _cast(state, dtype)

  return optax.GradientTransformationExtraArgs(init, update)


def _cast(tree: Any, dtype: DTypeLike) -> Any:
  """Casts the floating-point arrays of a tree."""
  return jax.tree.map(
    lambda x: x.astype(dtype) if _holds_numbers(x) else x, tree
  )


def _holds_numbers(x: jax.Array) -> bool:
  return x.ndim > 0 and jnp.issubdtype(x.dtype, jnp.floating)
