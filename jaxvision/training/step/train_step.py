"""The training step of all tasks: (state, batch) -> the next state.

A step is a pure function. Its random key is `fold_in(key(seed), state.step)`.
Therefore a restored state needs no saved key. The step minimises a `task_loss`,
which contains everything that is specific to a task:

  task_loss(params, model_state, batch, key) -> (scalar, (model_state, sums))

A step is one update of all parameters, or several updates of their parts, see
`jaxvision.training.step.updates`.

A task may have constants, such as the variables of teachers. They are further
arguments of the step and of `task_loss`, so a program does not contain them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvision.tasks.contract import Batch, TaskLoss
from jaxvision.training.step import averages, image_sizes
from jaxvision.training.step.state import TrainState
from jaxvision.training.step.updates import Learned, Turns, make_update
from jaxvision.xla import scans

Tree = Any
# (state, batch, *constants of the task) -> (next state, sums)
Step = Callable[..., tuple[TrainState, Tree]]


def make_train_step(
  task_loss: TaskLoss,
  optimizer: optax.GradientTransformationExtraArgs,
  *,
  seed: int | jax.Array,
  ema_decay: float = 0.0,
  equal_average: tuple[int, int] | None = None,
  accumulate: int = 1,
  platform: str | None = None,
  turns: Turns = (),
  sizes: image_sizes.Sizes = (),
  scaled: bool = False,
) -> Step:
  """Makes step(state, batch) -> (next state, sums); the caller compiles it.

  If the task has constants, it is step(state, batch, *constants).

  Args:
    task_loss: the function to minimise, see above.
    optimizer: from optax. Its extra argument `grad_fn` computes the gradient at
      other parameters, for sharpness-aware minimisation.
    seed: of the randomness in `task_loss`. It may be an argument of a compiled
      function, so that all seeds share a program.
    ema_decay: of the exponential moving average; 0 for none.
    equal_average: (start, every) of the equal average that the state has
      instead, see `jaxvision.training.step.averages`; None for none.
    accumulate: number of parts of a batch for gradient accumulation, see
      `jaxvision.training.step.accumulation`.
    platform: for which the step is compiled, see `jaxvision.xla.scans`.
    turns: the parts of the parameters that are updated in turns, and the number
      of their updates, see `jaxvision.training.step.updates`; () for one update
      of all parameters.
    sizes: of the images by the step, see `jaxvision.training.step.image_sizes`;
      () for those of the batch. Not together with `turns`.
    scaled: whether the optimizer has a loss scale, see
      `jaxvision.optimizers.loss_scale`. Not together with `turns`.

  Returns:
    The step. `sums` are the sums of the task and "gradient_norm", () float32,
    the global norm of the gradient before clipping; with a loss scale also
    "loss_scale".
  """
  update = make_update(
    task_loss,
    optimizer,
    accumulate=accumulate,
    platform=platform,
    turns=turns,
    sizes=sizes,
    scaled=scaled,
  )

  def step(
    state: TrainState, batch: Batch, *constants: Tree
  ) -> tuple[TrainState, Tree]:
    learned = Learned(state.params, state.model_state, state.opt_state)
    key = step_key(seed, state.step)
    stage = {"stage": image_sizes.stage(sizes, state.step)} if sizes else {}
    learned, sums, norm = update(learned, batch, key, *constants, **stage)
    params, model_state, opt_state = learned
    ema, new = state.ema, {"params": params, **model_state}
    if ema_decay:
      ema = averages.exponential(ema, new, state.step, decay=ema_decay)
    if equal_average:
      start, every = equal_average
      ema = averages.equal(ema, new, state.step, start=start, every=every)
    sums = {**sums, "gradient_norm": norm()}
    return TrainState(
      step=state.step + 1,
      params=params,
      model_state=model_state,
      opt_state=opt_state,
      ema=ema,
    ), sums

  return step


def step_key(seed: int | jax.Array, step: int | jax.Array) -> jax.Array:
  """The key of all random numbers in a step."""
  return jax.random.fold_in(jax.random.key(seed), step)


def single_step(step: Step) -> Step:
  """One step in the form of `scan_steps`: its sums have a leading axis of 1."""

  def steps(
    state: TrainState, batch: Batch, *others: Tree
  ) -> tuple[TrainState, Tree]:
    state, sums = step(state, batch, *others)
    return state, jax.tree.map(lambda x: jnp.expand_dims(x, 0), sums)

  return steps


def scan_steps(
  step: Step, *, platform: str | None = None, paired: bool = False
) -> Callable[..., tuple[TrainState, Tree]]:
  """Several steps in one compiled call, with the data on the device.

  Args:
    step: from `make_train_step`.
    platform: for which the steps are compiled, see `jaxvision.xla.scans`.
    paired: whether the indices are (k, b, 2), of examples and their partners.

  Returns:
    steps(state, indices (k, b) int32, examples, *others) -> (state after k
    steps, sums with a leading axis of k). `examples` is a complete split as one
    batch. `others` are the other arguments of the step.
  """

  def steps(
    state: TrainState, indices: jax.Array, examples: Batch, *others: Tree
  ):
    def one(state, rows):
      if not paired:
        batch = {k: v[rows] for k, v in examples.items()}
        return step(state, batch, *others)
      batch = {k: v[rows[..., 0]] for k, v in examples.items()}
      batch["partner"] = examples["image"][rows[..., 1]]
      return step(state, batch, *others)

    return scans.scan(one, state, indices, platform=platform)

  return steps
