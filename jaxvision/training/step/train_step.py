"""The step of every training: a state and a batch in, the next state out.

A step is a pure function. Its randomness is `fold_in(key(seed), state.step)`,
so a restored state needs no saved key. The loss it minimises, and everything
that is special about a kind of training, is a `task_loss`:

  task_loss(params, model_state, batch, key) -> (scalar, (model_state, sums))
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvision.tasks.contract import Batch, TaskLoss
from jaxvision.training.step import accumulation
from jaxvision.training.step.state import TrainState
from jaxvision.xla import scans

Tree = Any


def make_train_step(
  task_loss: TaskLoss,
  optimizer: optax.GradientTransformationExtraArgs,
  *,
  seed: int,
  ema_decay: float = 0.0,
  accumulate: int = 1,
  platform: str | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Tree]]:
  """step(state, batch) -> (next state, sums); the caller compiles it.

  Args:
    task_loss: what is minimised, see above.
    optimizer: optax's; it may evaluate the gradient again at other parameters
      (sharpness-aware minimisation) through the extra argument `grad_fn`.
    seed: of the randomness in `task_loss`.
    ema_decay: of the moving average; 0 keeps none.
    accumulate: parts in which the gradient of a batch is computed, see
      `jaxvision.training.step.accumulation`.
    platform: that it is compiled for, see `jaxvision.xla.scans`.

  Returns:
    The step. `sums` are those of the task, and "gradient_norm" () float32, the
    global norm of the gradient before clipping.
  """
  gradient = accumulation.make_gradient(
    task_loss, parts=accumulate, platform=platform
  )

  def step(state: TrainState, batch: Batch) -> tuple[TrainState, Tree]:
    key = step_key(seed, state.step)

    def gradient_at(params):
      return gradient(params, state.model_state, batch, key)

    gradients, (model_state, sums) = gradient_at(state.params)
    updates, opt_state = optimizer.update(
      gradients,
      state.opt_state,
      state.params,
      grad_fn=lambda params, _: gradient_at(params)[0],
    )
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if ema_decay:
      ema = _average(
        ema, {"params": params, **model_state}, state.step, ema_decay
      )
    sums = {**sums, "gradient_norm": optax.tree.norm(gradients)}
    return TrainState(
      step=state.step + 1,
      params=params,
      model_state=model_state,
      opt_state=opt_state,
      ema=ema,
    ), sums

  return step


def step_key(seed: int, step: int | jax.Array) -> jax.Array:
  """The key of all that is random in a step."""
  return jax.random.fold_in(jax.random.key(seed), step)


def _average(ema: Tree, variables: Tree, step: jax.Array, decay: float) -> Tree:
  """One step of the moving average; early steps forget the initial values."""
  keep = jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(
    lambda old, new: old + (1 - keep) * (new - old), ema, variables
  )


def single_step(
  step: Callable[[TrainState, Batch], tuple[TrainState, Tree]],
) -> Callable[[TrainState, Batch], tuple[TrainState, Tree]]:
  """One step whose sums have a leading axis of 1, as those of `scan_steps`."""

  def steps(state: TrainState, batch: Batch) -> tuple[TrainState, Tree]:
    state, sums = step(state, batch)
    return state, jax.tree.map(lambda x: jnp.expand_dims(x, 0), sums)

  return steps


def scan_steps(
  step: Callable[[TrainState, Batch], tuple[TrainState, Tree]],
  *,
  platform: str | None = None,
) -> Callable[[TrainState, jax.Array, Batch], tuple[TrainState, Tree]]:
  """Several steps in one compiled call, on data that lie on the device.

  Args:
    step: from `make_train_step`.
    platform: that it is compiled for, see `jaxvision.xla.scans`.

  Returns:
    steps(state, indices (k, b) int32, examples) -> (state after k steps, sums
    with a leading axis of k), where `examples` is a whole split as one batch.
  """

  def steps(state: TrainState, indices: jax.Array, examples: Batch):
    def one(state, rows):
      return step(state, {k: v[rows] for k, v in examples.items()})

    return scans.scan(one, state, indices, platform=platform)

  return steps
