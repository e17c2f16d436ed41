"""What devices send to each other in a step, read from the compiled program.

Counted is what a device sends, at the least, which is what the best algorithms
on a ring send: of n devices that hold or get an array of so many bytes together

  all-gather, reduce-scatter, all-to-all    bytes * (n - 1) / n
  all-reduce                                2 * bytes * (n - 1) / n
  collective-permute                        bytes

XLA may do a gathering and the product after it as one, sending shards around in
a loop (a "collective matmul"): these are then permutes.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from jaxvision.plan import hlo

# Kind -> bytes that a device sends, of results of so many bytes in groups of n.
_SENT = {
  "all-gather": lambda size, n: size * (n - 1) / n,
  "all-reduce": lambda size, n: 2 * size * (n - 1) / n,
  "all-to-all": lambda size, n: size * (n - 1) / n,
  "collective-permute": lambda size, n: size,
  "reduce-scatter": lambda size, n: size * (n - 1),
}
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")


def count(text: str, *, devices: int) -> dict[str, dict[str, float]]:
  """Returns {"all-gather": {"number": ..., "bytes": ...}, ...}, of one device.

  Args:
    text: of a compiled program, as `jax.stages.Compiled.as_text` gives it.
    devices: that it runs on.
  """
  parsed = hlo.parse(text)
  numbers, sent, seen = Counter(), Counter(), set()
  for name, times in hlo.times(parsed).items():
    for kind, size, channel in _of_computation(parsed[name], devices):
      # One that is spread over several fusions stands in each of them.
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
  """(kind, bytes that a device sends, channel) of what sends any."""
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

  Where it only starts, what it was given stands before them, and contexts of
  the kind u32[] behind.
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
  """The bits of a number: 16 of "bf16"; a byte of "pred"."""
  bits = re.search(r"\d+", kind)
  return int(bits[0]) if bits else 8


def _group(rest: str, devices: int) -> int:
  """How many devices take part together, in any notation of XLA."""
  if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", rest):
    sizes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
    parts = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", mesh[2])
    return math.prod(int(part or sizes[name]) for name, part in parts)
  if groups := re.search(r"replica_groups=\[\d+,(\d+)\]<=", rest):
    return int(groups[1])
  if groups := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
    return len(groups[1].split(","))
  return devices
