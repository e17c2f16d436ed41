"""The state of a training run between two steps."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

Tree = Any


@flax.struct.dataclass
class TrainState:
  """The complete state of a training run between two steps.

  Attributes:
    step: () int32, the number of steps taken.
    params: the model's parameters.
    model_state: its other variables: {"batch_stats": ...} or {}.
    opt_state: the optimizer's state.
    ema: the average of {"params": ..., **model_state}, exponential or equal; {}
      if off.
  """

  step: jax.Array
  params: Tree
  model_state: Tree
  opt_state: Tree
  ema: Tree

  @property
  def variables(self) -> Tree:
    """The variables of the model, as `model.apply` takes them."""
    return {"params": self.params, **self.model_state}


def init_state(
  variables: Tree,
  optimizer: optax.GradientTransformation,
  *,
  ema: bool,
  dtype: DTypeLike = "float32",
) -> TrainState:
  """The state before the first step; call this under jit with shardings.

  Args:
    variables: of the model, float32.
    optimizer: of the parameters.
    ema: whether the state has an average, in float32.
    dtype: of the parameters.
  """
  params = jax.tree.map(lambda x: x.astype(dtype), variables["params"])
  model_state = {k: v for k, v in variables.items() if k != "params"}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    model_state=model_state,
    opt_state=optimizer.init(params),
    ema=jax.tree.map(jnp.copy, dict(variables)) if ema else {},
  )
