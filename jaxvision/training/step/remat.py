"""What the forward pass keeps for the backward pass, and what is done again.

"blocks" keeps the input of each block of the model and computes all inside
again: memory for the activations of one block, a third more of the products.
"products" also keeps the results of products with weights, of Dense layers and
convolutions, and computes the rest again: normalisations, activations and
attention, which cost little. Blocks are those of `jaxvision.summary.blocks`.

Names, values and random numbers are those of the model without it.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jaxvision import lookup
from jaxvision.summary import blocks
from jaxvision.variables import variable_shapes

Policy = Callable[..., bool] | None


def _is_product(
  primitive: jax.extend.core.Primitive, *_: Any, **params
) -> bool:
  if primitive.name == "conv_general_dilated":
    return True
  dots = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
  return dots(primitive, *_, **params)


# What may be kept of the inside of a block; None: nothing.
POLICIES: dict[str, Policy] = {"blocks": None, "products": _is_product}


def check(policy: str) -> None:
  """Raises ValueError for a policy that is neither "none" nor known."""
  known = ("none", *POLICIES)
  if policy not in known:
    raise ValueError(lookup.unknown("train.remat", policy, known))


def applied(
  model: nn.Module, policy: str, *, image_shape: tuple[int, int, int]
) -> contextlib.AbstractContextManager:
  """In it, the model is differentiated by a policy of `POLICIES`.

  Args:
    model: that is applied inside; of one without blocks "products" takes the
      whole.
    policy: "blocks" or "products".
    image_shape: (h, w, c).

  Raises:
    ValueError: "blocks" of a model that has none.
  """
  kinds = _kinds(model, image_shape)
  if not kinds and policy == "blocks":
    raise ValueError(
      f"train.remat is 'blocks', but {type(model).__name__} has no blocks, of "
      "which only the inputs could be kept; use 'products'"
    )
  kinds = kinds or {type(model)}
  inside = []

  def interceptor(call, args, kwargs, context):
    module = context.module
    is_call = context.method_name == "__call__"
    if inside or not is_call or type(module) not in kinds:
      return call(*args, **kwargs)
    inside.append(module)
    try:
      # A module without path is scanned: what a loop does is not merged.
      rematerialized = nn.remat(
        lambda module, *args: module(*args, **kwargs),
        policy=POLICIES[policy],
        prevent_cse=bool(module.path),
      )
      return rematerialized(module, *args)
    finally:
      inside.pop()

  return nn.intercept_methods(interceptor)


def _kinds(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> set[type[nn.Module]]:
  """The classes of the model's blocks."""
  paths = set(blocks.blocks(model, image_shape=image_shape))
  kinds = set()

  def observe(call, args, kwargs, context):
    if "/".join(context.module.path) in paths:
      kinds.add(type(context.module))
    return call(*args, **kwargs)

  with nn.intercept_methods(observe):
    variable_shapes(model, image_shape=image_shape)
  return kinds
