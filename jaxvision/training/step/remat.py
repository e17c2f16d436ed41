"""Rematerialisation: activations that the backward pass recomputes.

The policy "blocks" keeps only the input of each block of the model. All
activations inside a block are recomputed. It needs the memory for the
activations of one block, and a third more products. The policy "products" also
keeps the outputs of Dense layers and convolutions. Normalisations, activation
functions and attention are recomputed, at a low cost. The blocks are those of
`jaxvision.summary.blocks`.

Names, values and random numbers do not change.
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
  if primitive.name == "custom_jvp_call":  # `layers.convolution.convolve`
    inside = params["call_jaxpr"].jaxpr.eqns
    return [each.primitive.name for each in inside] == ["conv_general_dilated"]
  dots = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
  return dots(primitive, *_, **params)


# The activations that are kept inside a block; None keeps nothing.
POLICIES: dict[str, Policy] = {"blocks": None, "products": _is_product}


def check(policy: str) -> None:
  """Raises ValueError for a policy that is neither "none" nor known."""
  known = ("none", *POLICIES)
  if policy not in known:
    raise ValueError(lookup.unknown("train.remat", policy, known))


def applied(
  model: nn.Module, policy: str, *, image_shape: tuple[int, int, int]
) -> contextlib.AbstractContextManager:
  """A context in which the model is differentiated with a policy.

  Args:
    model: that is applied inside. For a model without blocks, "products"
      treats the complete model as one block.
    policy: a key of `POLICIES`, "blocks" or "products".
    image_shape: (h, w, c).

  Raises:
    ValueError: the policy is "blocks" and the model has no blocks.
  """
  kinds = _kinds(model, image_shape)
  if not kinds and policy == "blocks":
    raise ValueError(
      f"train.remat is 'blocks', but {type(model).__name__} has no "
      "blocks; use 'products'"
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
      # A module without a path is inside a scan. XLA does not merge (CSE) the
      # operations of a loop body with those outside of it.
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
