"""The floating-point types of a run, from its config.

`precision.parameters` is the type of the parameters between two steps. bfloat16
has 8 significant bits, so small updates of large parameters are lost.
`precision.compute` is the type of all products and activations. Batch
statistics, softmax, classifier and loss stay float32. `precision.output` is the
type of the logits. `precision.optimizer` is the type of the optimizer's state
between two steps. Moving averages are float32. If products are float16, the
loss is scaled, see `jaxvision.optimizers.loss_scale`.
"""

from typing import Any

from jaxvision import lookup
from jaxvision.config import ConfigDict

TYPES = ("float32", "bfloat16")
# Only products: small parameters, updates and losses would become 0.
_COMPUTE = (*TYPES, "float16")


def check(config: ConfigDict) -> None:
  """Raises ValueError for an unknown type, or one that does not fit the key."""
  for key, name in config.precision.items():
    known = _COMPUTE if key == "compute" else TYPES
    if name not in known:
      raise ValueError(lookup.unknown(f"precision.{key}", name, known))


def is_scaled(config: ConfigDict) -> bool:
  """Whether the loss has a scale, as products in float16 need."""
  return config.precision.compute == "float16"


def model_options(config: ConfigDict) -> dict[str, Any]:
  """The options of a config's model, with its `dtype`.

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
  """The type of the optimizer's state; None if all types are float32."""
  kept, parameters = config.precision.optimizer, config.precision.parameters
  return None if kept == parameters == "float32" else kept
