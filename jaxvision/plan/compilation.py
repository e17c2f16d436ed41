"""The step of a run, compiled for devices that are not here, and measured."""

import dataclasses
import math
import re
import time
from collections.abc import Sequence
from typing import Any

import jax

from jaxvision.config import ConfigDict
from jaxvision.plan import collectives, placeholder_data
from jaxvision.summary import flops
from jaxvision.training.loop import compilation
from jaxvision.training.setup import assembly
from jaxvision.xla import accelerators

Tree = Any

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Figures:
  """What a step needs and does, of one device; memory in bytes.

  Attributes:
    mesh: sizes by axis.
    batch_size: of all devices together.
    state: by part, as the shapes say: "parameters", "optimizer", "average",
      "statistics", "batch".
    padding: what the arguments take beyond that, as the device lays them out.
    temporaries: activations, gradients and whatever else a step needs for a
      while. Where the compiler has refused: what it has asked for, without the
      arguments.
    program: the step's code.
    capacity: of the device; None where it is not known.
    flops: of the products in a step, recomputed ones included.
    peak_flops: of the device in a second; None where it is not known.
    sent: by kind of collective, {"number": ..., "bytes": ...}; empty where the
      compiler has refused.
    refused: what the compiler has said; "" where it has compiled.
    seconds: that it took.
  """

  mesh: dict[str, int]
  batch_size: int
  state: dict[str, int]
  padding: int
  temporaries: int
  program: int
  capacity: int | None
  flops: float
  peak_flops: float | None
  sent: dict[str, dict[str, float]]
  refused: str
  seconds: float

  @property
  def total(self) -> int:
    """Bytes that are needed at once."""
    held = sum(self.state.values()) + self.padding
    return held + self.temporaries + self.program

  @property
  def sent_bytes(self) -> float:
    """What a device sends in a step, by all kinds of collectives together."""
    return sum(each["bytes"] for each in self.sent.values())

  @property
  def fits(self) -> bool:
    """Whether the device has as much."""
    if self.refused:
      return False
    return self.capacity is None or self.total <= self.capacity


def measure(
  config: ConfigDict,
  split: placeholder_data.Split,
  devices: Sequence[jax.Device],
  *,
  capacity: int | None = None,
) -> Figures:
  """Compiles the step of a config and returns what it needs.

  Args:
    config: of the run.
    split: that it is trained on, or what stands in for it.
    devices: all of the run, from `topology.devices`.
    capacity: of a device, in bytes; None looks it up.

  Raises:
    ValueError: something in the config does not go together.
  """
  started = time.monotonic()
  parts = assembly.prepare(config, {"train": split.dataset}, devices=devices)
  kind = devices[0].device_kind
  constants = ()
  if config.data.placement == "device":
    constants = (compilation.resident_template(parts),)
  traced = compilation.trace_step(parts, *constants)
  state = _state_bytes(parts, constants)
  compiled, refused = _compile(traced)
  return Figures(
    mesh=dict(parts.mesh.shape),
    batch_size=config.train.batch_size,
    state=state,
    **_memory(compiled, refused, sum(state.values())),
    capacity=capacity or accelerators.MEMORY_BYTES.get(kind),
    flops=_flops(traced, config, len(devices)),
    peak_flops=accelerators.PEAK_FLOPS.get(kind),
    sent=_sent(compiled, len(devices)),
    refused=refused,
    seconds=time.monotonic() - started,
  )


def bytes_on_device(tree: Tree) -> int:
  """What a tree of arrays, or of their shapes, takes of each device."""
  return sum(
    math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf in jax.tree.leaves(tree)
  )


def _state_bytes(parts: assembly.Parts, constants: Tree) -> dict[str, int]:
  batch = assembly.batch_template(parts.config, parts.image_shape, parts.mesh)
  state = parts.template
  found = {
    "parameters": state.params,
    "optimizer": state.opt_state,
    "average": state.ema,
    "statistics": state.model_state,
    "batch": constants or batch,
  }
  return {name: bytes_on_device(tree) for name, tree in found.items()}


def _compile(
  traced: jax.stages.Traced,
) -> tuple[jax.stages.Compiled | None, str]:
  """The program, or what the compiler has said of too little memory."""
  try:
    return traced.lower().compile(), ""
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    return None, str(error)


def _memory(
  compiled: jax.stages.Compiled | None, refused: str, state: int
) -> dict[str, int]:
  """The parts of `Figures` that the compiler decides."""
  if compiled is None:
    used = max(needed(refused) - state, 0)
    return {"padding": 0, "temporaries": used, "program": 0}
  memory = compiled.memory_analysis()
  outputs = memory.output_size_in_bytes - memory.alias_size_in_bytes
  return {
    "padding": memory.argument_size_in_bytes - state,
    "temporaries": memory.temp_size_in_bytes + outputs,
    "program": memory.generated_code_size_in_bytes,
  }


def needed(refused: str) -> int:
  """The bytes that a step needs which the compiler has refused.

  XLA says "HLO temporaries (20.55G) exceeds available HBM (15.75G)", or "Used
  20.55G of 15.75G hbm".

  Returns:
    0 if it does not say.
  """
  found = re.search(r"(?:temporaries \(|Used )([\d.]+)([KMGT]?)", refused)
  return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def _flops(
  traced: jax.stages.Traced, config: ConfigDict, devices: int
) -> float:
  """Of one step on one device; a call may take several steps."""
  counted = flops.multiply_accumulates(traced.jaxpr).total()
  return 2 * counted / devices / config.train.steps_per_dispatch


def _sent(
  compiled: jax.stages.Compiled | None, devices: int
) -> dict[str, dict[str, float]]:
  if compiled is None:
    return {}
  return collectives.count(compiled.as_text(), devices=devices)
