"""In which types a run keeps and computes its numbers.

`precision.parameters` is that of the parameters between two steps, from which
each step takes those it computes with; in bfloat16, with 8 bits, small updates
of large parameters are lost. `precision.compute` is the type of all products
and activations; batch statistics, softmax and loss stay float32, as does the
classifier. `precision.output` is the type of the logits, `precision.optimizer`
that of what the optimizer keeps from step to step. Moving averages are float32.
"""

import contextlib
from typing import Any

import flax.linen as nn

from jaxvision import lookup
from jaxvision.config import ConfigDict

# Without float16, which would need its loss scaled.
TYPES = ("float32", "bfloat16")


def check(config: ConfigDict) -> None:
  """Raises ValueError for a type that is none of `TYPES`."""
  for key, name in config.precision.items():
    if name not in TYPES:
      raise ValueError(lookup.unknown(f"precision.{key}", name, TYPES))


def model_options(config: ConfigDict) -> dict[str, Any]:
  """The options of a config's model, with the type that it computes in.

  Raises:
    ValueError: model.options has another `dtype` than precision.compute.
  """
  options, compute = config.model.options.to_dict(), config.precision.compute
  if compute == "float32":
    return options
  if options.get("dtype", compute) != compute:
    raise ValueError(
      f"precision.compute is {compute}, but model.options has dtype "
      f"{options['dtype']}; leave dtype out"
    )
  return {**options, "dtype": compute}


def optimizer_state(config: ConfigDict) -> str | None:
  """The type of the optimizer's state; None where all is float32 anyway."""
  kept, parameters = config.precision.optimizer, config.precision.parameters
  return None if kept == parameters == "float32" else kept


def of_logits(
  model: nn.Module, dtype: str
) -> contextlib.AbstractContextManager:
  """In it, the model's logits are of this type."""

  def interceptor(call, args, kwargs, context):
    outputs = call(*args, **kwargs)
    is_model = isinstance(context.module, type(model))
    if not is_model or context.method_name != "__call__":
      return outputs
    return outputs.astype(dtype)

  return nn.intercept_methods(interceptor)
