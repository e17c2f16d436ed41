"""How XLA gathers a split matrix on TPUs: it depends on the size of the shard.

  python experiments/benchmarks/gathering.py

Needs libtpu (pip install 'jaxvision[tpu-plan]'), but no TPU. These programs are
compiled ahead of time, for float32 matrices that are split over all chips and
used in bfloat16:

  step      the gradient step of two products
  flag      the same with xla_tpu_prefer_async_allgather_to_allreduce
  scatter   an explicit `jax.lax.psum_scatter` of one such matrix

The table counts the collective operations of each kind in the programs.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvision import plan
from jaxvision.plan import collectives

# Topology, and the width of (width, 4 * width).
CASES = (
  ("v5e:4x4", 768),
  ("v5e:8x8", 768),
  ("v5e:8x8", 2048),
  ("v5e:8x8", 4096),
)
_FLAG = {"xla_tpu_prefer_async_allgather_to_allreduce": "true"}
_TOKENS = 197


def main() -> None:
  """Prints a row for each case."""
  print("| chips | matrix | KiB a chip, bfloat16 | step | flag | scatter |")
  print("|---:|---|---:|---|---|---|")
  for topology, width in CASES:
    mesh = Mesh(np.ravel(plan.devices(topology)), ("fsdp",))
    kept = 2 * 4 * width**2 / mesh.size / 2**10
    step, scatter = _step_program(mesh, width), _scatter_program(mesh, width)
    compiled = (step.compile(), step.compile(_FLAG), scatter.compile())
    found = [_counted(program, mesh.size) for program in compiled]
    print(
      f"| {mesh.size} | {width} x {4 * width} | {kept:,.0f} "
      f"| {' | '.join(found)} |",
      flush=True,
    )


def _counted(program: jax.stages.Compiled, devices: int) -> str:
  found = collectives.count(program.as_text(), devices=devices)
  return ", ".join(f"{kind} {each['number']}" for kind, each in found.items())


def _step_program(mesh: Mesh, width: int) -> jax.stages.Lowered:
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
  return jax.jit(_step, out_shardings=shardings).lower(params, tokens)


def _step(params: tuple[jax.Array, jax.Array], x: jax.Array):
  gradient = jax.grad(_loss)(params, x)
  return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)


def _loss(params: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
  first, second = (each.astype(jnp.bfloat16) for each in params)
  return ((jax.nn.gelu(x @ first) @ second).astype(jnp.float32) ** 2).mean()


def _scatter_program(mesh: Mesh, width: int) -> jax.stages.Lowered:
  rows = PartitionSpec("fsdp")
  scatter = jax.shard_map(
    lambda x: jax.lax.psum_scatter(
      x[0], "fsdp", scatter_dimension=0, tiled=True
    ),
    mesh=mesh,
    in_specs=rows,
    out_specs=rows,
  )
  gradients = jax.ShapeDtypeStruct(
    (mesh.size, 4 * width, width),
    jnp.bfloat16,
    sharding=NamedSharding(mesh, rows),
  )
  return jax.jit(scatter).lower(gradients)


if __name__ == "__main__":
  main()
