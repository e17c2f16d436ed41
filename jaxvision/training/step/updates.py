"""The updates of a step: one of all parameters, or several of parts in turns.

In a generative adversarial network a step has turns: several updates of the
critic, then one of the generator. All networks are in one tree, {name:
parameters}, and have one loss. A turn differentiates this loss with respect to
its own part only, and updates nothing else: neither the parameters nor the
optimizer states of the other parts. Other variables, such as running averages
of batch normalisation, are updated by each turn.

Each update has its own examples: update i of n has the examples i, i + n, i +
2n, ... of the batch, as in `jaxvision.training.step.accumulation`. Its random
key is `fold_in(key, i)`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvision.optimizers import loss_scale
from jaxvision.tasks.contract import Batch, TaskLoss
from jaxvision.training.step import accumulation, image_sizes
from jaxvision.xla import scans

Tree = Any
# (name of a part of the parameters, number of its updates in a step)
Turns = Sequence[tuple[str, int]]


class Learned(NamedTuple):
  """The parts of a state that an update changes; see `TrainState`."""

  params: Tree
  model_state: Tree
  opt_state: Tree


# () -> the global norm of the gradient before clipping, () float32
Norm = Callable[[], jax.Array]
# (learned, batch, key, *constants of the task) -> (learned, sums, norm). With
# image sizes it has another argument, the keyword `stage`.
Update = Callable[..., tuple[Learned, Tree, Norm]]


def make_update(
  task_loss: TaskLoss,
  optimizer: optax.GradientTransformationExtraArgs,
  *,
  accumulate: int = 1,
  platform: str | None = None,
  turns: Turns = (),
  sizes: image_sizes.Sizes = (),
  scaled: bool = False,
) -> Update:
  """Makes the updates of a step; the arguments are those of the step."""
  if turns:
    return _in_turns(
      task_loss, optimizer, turns, accumulate=accumulate, platform=platform
    )
  gradient = accumulation.make_gradient(
    _scaled(task_loss) if scaled else task_loss,
    parts=accumulate,
    platform=platform,
  )
  if sizes:
    gradient = image_sizes.by_stage(gradient, sizes, platform=platform)

  def update(
    learned: Learned,
    batch: Batch,
    key: jax.Array,
    *constants: Tree,
    stage: jax.Array | None = None,
  ):
    number = () if stage is None else (stage,)
    scales = (learned.opt_state.scale,) if scaled else ()

    def gradient_at(params):
      given = (params, learned.model_state, batch, key, *scales, *constants)
      gradients, others = gradient(*number, *given)
      for scale in scales:
        gradients = jax.tree.map(
          lambda x, scale=scale: x / scale.astype(x.dtype), gradients
        )
      return gradients, others

    gradients, (model_state, sums) = gradient_at(learned.params)
    updates, opt_state = optimizer.update(
      gradients,
      learned.opt_state,
      learned.params,
      grad_fn=lambda params, _: gradient_at(params)[0],
    )
    params = optax.apply_updates(learned.params, updates)
    norm = functools.partial(optax.tree.norm, gradients)
    after = Learned(params, model_state, opt_state)
    if scaled:
      return _left_out(learned, after, gradients, sums, norm)
    return after, sums, norm

  return update


def _scaled(task_loss: TaskLoss) -> TaskLoss:
  """The loss of a task times a scale, which is its first constant."""

  def loss(params, model_state, batch, key, scale, *constants):
    value, others = task_loss(params, model_state, batch, key, *constants)
    return value * scale, others

  return loss


def _left_out(
  before: Learned, after: Learned, gradients: Tree, sums: Tree, norm: Norm
) -> tuple[Learned, Tree, Norm]:
  """The results of an update with a loss scale.

  If its gradient is not finite, it changes the scale only, and its norm is 0.
  With a scale below 1 the scale is not the cause: the norm is not finite then,
  and ends the run.
  """
  finite, scale = loss_scale.is_finite(gradients), before.opt_state.scale
  kept = loss_scale.choose(finite, after.model_state, before.model_state)
  tried = finite | (scale < 1)
  return (
    after._replace(model_state=kept),
    {**sums, "loss_scale": scale},
    lambda: jnp.where(tried, norm(), 0.0),
  )


def _in_turns(
  task_loss: TaskLoss,
  optimizer: optax.GradientTransformationExtraArgs,
  turns: Turns,
  *,
  accumulate: int,
  platform: str | None,
) -> Update:
  """Makes the updates of parts in turns; the norm is the mean over them."""
  count = sum(updates for _, updates in turns)

  def of_part(name: str, learned: Learned, *given: Tree):
    def loss(part, *rest):
      return task_loss({**learned.params, **part}, *rest)

    update = make_update(
      loss, optimizer, accumulate=accumulate, platform=platform
    )
    own = learned._replace(params={name: learned.params[name]})
    after, sums, norm = update(own, *given)
    params = {**learned.params, **after.params}
    return after._replace(params=params), (sums, norm())

  def update(learned: Learned, batch: Batch, key: jax.Array, *constants: Tree):
    batches = jax.tree.map(lambda x: accumulation.split(x, count), batch)
    first, total = 0, []
    for name, updates in turns:
      rows = slice(first, first + updates)
      own = jax.tree.map(lambda x, rows=rows: x[rows], batches)

      def one(learned, given, name=name):
        examples, number = given
        own_key = jax.random.fold_in(key, number)
        return of_part(name, learned, examples, own_key, *constants)

      given = (own, jnp.arange(count)[rows])
      learned, found = scans.scan(one, learned, given, platform=platform)
      total.append(jax.tree.map(lambda x: x.sum(axis=0), found))
      first += updates
    sums, norms = jax.tree.map(lambda *each: sum(each), *total)
    return learned, sums, lambda: norms / count

  return update
