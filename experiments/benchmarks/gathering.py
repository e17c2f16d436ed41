"""By what XLA gathers a split matrix on TPUs: it depends on the shard's size.

  python experiments/benchmarks/gathering.py

Needs libtpu (pip install 'jaxvision[tpu-plan]'), but no TPU. The gradient step
of two products, their float32 matrices split over all chips and used in
bfloat16, is compiled ahead of time; printed is how many collective operations
of each kind the compiled program has.
"""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvision import plan

# Topology, and the width of (width, 4 * width).
CASES = (
  ("v5e:4x4", 768),
  ("v5e:8x8", 768),
  ("v5e:8x8", 2048),
  ("v5e:8x8", 4096),
)
_TOKENS = 197
_KINDS = r"\b(all-gather|all-reduce|reduce-scatter|collective-permute)"


def main() -> None:
  """Prints a row for each case."""
  print("| chips | matrix | KiB a chip, bfloat16 | operations |")
  print("|---:|---|---:|---|")
  for topology, width in CASES:
    devices = plan.devices(topology)
    count = Counter(
      re.findall(rf"{_KINDS}(?:-start)?\(", _text(devices, width))
    )
    kept = 2 * 4 * width**2 / len(devices) / 2**10
    found = ", ".join(f"{kind} {n}" for kind, n in count.items())
    print(
      f"| {len(devices)} | {width} x {4 * width} | {kept:,.0f} | {found} |",
      flush=True,
    )


def _text(devices: np.ndarray, width: int) -> str:
  """The compiled program of one step."""
  mesh = Mesh(np.ravel(devices), ("fsdp",))
  rows = NamedSharding(mesh, PartitionSpec("fsdp"))
  columns = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
  shardings = (columns, rows)
  shapes = ((width, 4 * width), (4 * width, width))
  params = tuple(
    jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
    for shape, sharding in zip(shapes, shardings, strict=True)
  )
  tokens = jax.ShapeDtypeStruct(
    (mesh.size, _TOKENS, width), jnp.bfloat16, sharding=rows
  )
  step = jax.jit(_step, out_shardings=shardings)
  return step.lower(params, tokens).compile().as_text()


def _step(params: tuple[jax.Array, jax.Array], x: jax.Array):
  gradient = jax.grad(_loss)(params, x)
  return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)


def _loss(params: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
  first, second = (each.astype(jnp.bfloat16) for each in params)
  return ((jax.nn.gelu(x @ first) @ second).astype(jnp.float32) ** 2).mean()


if __name__ == "__main__":
  main()
