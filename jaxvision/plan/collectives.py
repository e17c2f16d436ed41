"""Communication of a step: collectives in the compiled program.

The count is the minimum number of bytes that a device sends, with the best ring
algorithm. For an array of `bytes` over n devices it is

  all-gather, reduce-scatter, all-to-all    bytes * (n - 1) / n
  all-reduce                                2 * bytes * (n - 1) / n
  collective-permute                        bytes

XLA may merge an all-gather with the next matrix product into a loop that sends
shards (a "collective matmul"); these are counted as permutes.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from jaxvision.plan import hlo

# Kind -> bytes that a device sends, from bytes of the result and group size n.
_SENT = {
  "all-gather": lambda size, n: size * (n - 1) / n,
  "all-reduce": lambda size, n: 2 * size * (n - 1) / n,
  "all-to-all": lambda size, n: size * (n - 1) / n,
  "collective-permute": lambda size, n: size,
  "reduce-scatter": lambda size, n: size * (n - 1),
}
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")


def count(text: str, *, devices: int) -> dict[str, dict[str, float]]:
  """Returns {"all-gather": {"number": ..., "bytes": ...}, ...} of one device.

  Args:
    text: the compiled program, from `jax.stages.Compiled.as_text`.
    devices: number of devices.
  """
  parsed = hlo.parse(text)
  numbers, sent, seen = Counter(), Counter(), set()
  for name, times in hlo.times(parsed).items():
    for kind, size, channel in _of_computation(parsed[name], devices):
      # A collective that is part of several fusions appears in each of them.
      if channel is None or channel not in seen:
        seen.add(channel)
        numbers[kind] += times
        sent[kind] += times * size
  return {
    kind: {"number": numbers[kind], "bytes": sent[kind]}
    for kind in sorted(numbers)
  }


def _of_computation(
  computation: hlo.Computation, devices: int
) -> Iterator[tuple[str, float, str | None]]:
  """(kind, bytes that a device sends, channel) of each collective."""
  for each in computation.values():
    kind = each.kind.removesuffix("-start")
    if kind in _SENT:
      group = _group(each.rest, devices)
      if group > 1 or kind == "collective-permute":
        channel = re.search(r"channel_id=(\d+)", each.rest)
        size = _SENT[kind](_received(each), group)
        yield kind, size, channel and channel[1]


def _received(instruction: hlo.Instruction) -> int:
  """The bytes of the results of a collective operation.

  The shape of a "-start" operation has the operands before the results, and
  contexts of type u32[] after them.
  """
  arrays = [
    (kind, math.prod(map(int, filter(None, axes.split(",")))))
    for kind, axes in _ARRAY.findall(instruction.shape)
  ]
  if instruction.kind in ("all-gather-start", "collective-permute-start"):
    arrays = [each for each in arrays if each != ("u32", 1)]
    arrays = arrays[len(arrays) // 2 :]
  return sum(math.ceil(_bits(kind) * size / 8) for kind, size in arrays)


def _bits(kind: str) -> int:
  """The bits of a type: 16 for "bf16", 8 for "pred"."""
  bits = re.search(r"\d+", kind)
  return int(bits[0]) if bits else 8


def _group(rest: str, devices: int) -> int:
  """The size of a group of devices, in any notation of XLA."""
  if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", rest):
    sizes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
    parts = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", mesh[2])
    return math.prod(int(part or sizes[name]) for name, part in parts)
  if groups := re.search(r"replica_groups=\[\d+,(\d+)\]<=", rest):
    return int(groups[1])
  if groups := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
    return len(groups[1].split(","))
  return devices
