"""Compilation of a training step for other devices, and its figures."""

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
from jaxvision.training import setup
from jaxvision.training.loop import compilation, feed
from jaxvision.xla import accelerators

Tree = Any

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Figures:
  """Memory (bytes), FLOPs and communication of a step on one device.

  Attributes:
    mesh: {axis: size}.
    batch_size: examples of all devices together.
    state: {part: bytes} by shape; the parts are "parameters", "optimizer",
      "average", "statistics", "batch", and "constants" such as teachers.
    padding: additional bytes of the arguments in the layout of the device.
    temporaries: bytes of activations, gradients and other temporary arrays. If
      the compiler refused, the memory that it requested, without arguments.
    program: bytes of the compiled code.
    capacity: memory of the device; None if unknown.
    flops: FLOPs of matrix products and convolutions in a step, with recomputed
      ones.
    peak_flops: FLOP/s of the device; None if unknown.
    sent: {collective: {"number": ..., "bytes": ...}}; {} if the compiler
      refused.
    refused: the message of the compiler; "" if it compiled.
    seconds: time of the compilation.
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
    """Bytes of memory that the step needs."""
    held = sum(self.state.values()) + self.padding
    return held + self.temporaries + self.program

  @property
  def sent_bytes(self) -> float:
    """Bytes that a device sends in a step, over all collectives."""
    return sum(each["bytes"] for each in self.sent.values())

  @property
  def fits(self) -> bool:
    """Whether the step fits in the memory of the device."""
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
  """Compiles the step of a config and returns its figures.

  Args:
    config: the config of the run.
    split: the training split, or a placeholder.
    devices: all devices of the run, from `topology.devices`.
    capacity: memory of a device in bytes; None for that of its kind.

  Raises:
    ValueError: values of the config are incompatible.
  """
  started = time.monotonic()
  parts = setup.prepare(config, {"train": split.dataset}, devices=devices)
  kind = devices[0].device_kind
  examples = ()
  if config.data.placement == "device":
    examples = (feed.resident_template(parts),)
  traced = compilation.trace_step(parts, *examples)
  state = _state_bytes(parts, examples)
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
  """Bytes of a tree of arrays (or shapes) on each device."""
  return sum(
    math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf in jax.tree.leaves(tree)
  )


def _state_bytes(parts: setup.Parts, examples: Tree) -> dict[str, int]:
  state = parts.template
  found = {
    "parameters": state.params,
    "optimizer": state.opt_state,
    "average": state.ema,
    "statistics": state.model_state,
    "batch": examples or parts.batch,
    "constants": parts.task.constants,
  }
  return {name: bytes_on_device(tree) for name, tree in found.items()}


def _compile(
  traced: jax.stages.Traced,
) -> tuple[jax.stages.Compiled | None, str]:
  """The program and "", or None and the compiler's out-of-memory message."""
  try:
    return traced.lower().compile(), ""
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    return None, str(error)


def _memory(
  compiled: jax.stages.Compiled | None, refused: str, state: int
) -> dict[str, int]:
  """The fields of `Figures` that come from the compiler."""
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
  """The bytes that a refused step needs, from the message of the compiler.

  XLA writes "HLO temporaries (20.55G) exceeds available HBM (15.75G)", or "Used
  20.55G of 15.75G hbm".

  Returns:
    Bytes; 0 if the message has no number.
  """
  found = re.search(r"(?:temporaries \(|Used )([\d.]+)([KMGT]?)", refused)
  return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def _flops(
  traced: jax.stages.Traced, config: ConfigDict, devices: int
) -> float:
  """FLOPs of one step on one device; a call can run several steps."""
  counted = flops.multiply_accumulates(traced.jaxpr).total()
  return 2 * counted / devices / config.train.steps_per_dispatch


def _sent(
  compiled: jax.stages.Compiled | None, devices: int
) -> dict[str, dict[str, float]]:
  if compiled is None:
    return {}
  return collectives.count(compiled.as_text(), devices=devices)
