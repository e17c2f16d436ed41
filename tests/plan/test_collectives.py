"""Tests of jaxvision.plan.collectives: bytes against the minimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxvision.plan import collectives


def _mesh(*sizes):
  devices = np.asarray(jax.devices()[: np.prod(sizes)]).reshape(sizes)
  axes = ("a", "b")[: len(sizes)]
  return Mesh(devices, axes, axis_types=(AxisType.Auto,) * len(sizes))


def _count(function, mesh, ins, outs, *shapes):
  mapped = jax.shard_map(function, mesh=mesh, in_specs=ins, out_specs=outs)
  inputs = [
    jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))
    for shape, spec in zip(shapes, ins, strict=True)
  ]
  text = jax.jit(mapped).lower(*inputs).compile().as_text()
  return collectives.count(text, devices=mesh.size)


@pytest.mark.parametrize(
  ("kind", "function", "out", "expected"),
  [
    (
      "all-gather",
      lambda x: jax.lax.all_gather(x, "a", tiled=True),
      PartitionSpec("a"),
      4 * 64 * 7 / 8,
    ),
    (
      "all-reduce",
      lambda x: jax.lax.psum(x, "a"),
      PartitionSpec(),
      2 * 4 * 8 * 7 / 8,
    ),
    (
      "reduce-scatter",
      lambda x: jax.lax.psum_scatter(x, "a", tiled=True),
      PartitionSpec("a"),
      4 * 8 * 7 / 8,
    ),
    (
      "collective-permute",
      lambda x: jax.lax.ppermute(x, "a", [(i, (i + 1) % 8) for i in range(8)]),
      PartitionSpec("a"),
      4 * 8,
    ),
    (
      "all-to-all",
      lambda x: jax.lax.all_to_all(x, "a", 0, 0, tiled=True),
      PartitionSpec("a"),
      4 * 8 * 7 / 8,
    ),
  ],
)
def test_bytes_sent_by_each_collective(kind, function, out, expected):
  """64 numbers on 8 devices, 8 on each."""
  ins = (PartitionSpec("a"),)
  counted = _count(function, _mesh(8), ins, out, (64,))
  assert counted == {kind: {"number": 1, "bytes": expected}}


def test_groups_of_devices_are_smaller():
  counted = _count(
    lambda x: jax.lax.psum(x, "b"),
    _mesh(4, 2),
    (PartitionSpec(("a", "b")),),
    PartitionSpec("a"),
    (64,),
  )
  assert counted["all-reduce"]["bytes"] == 2 * 4 * 8 / 2


def test_inside_a_loop_it_counts_as_often():
  def swap(_, x):
    return jnp.sin(jax.lax.ppermute(x, "a", [(0, 1), (1, 0)]))

  counted = _count(
    lambda x: jax.lax.fori_loop(0, 6, swap, x),
    _mesh(2),
    (PartitionSpec("a"),),
    PartitionSpec("a"),
    (64,),
  )
  assert counted["collective-permute"] == {"number": 6, "bytes": 6 * 4 * 32}


def _program(*lines):
  return "\n".join(
    [
      "ENTRY %main (p: bf16[2,8]) -> bf16[8,8] {",
      "  %p = bf16[2,8]{1,0:T(8,128)(2,1)} parameter(0)",
      *(f"  {line}" for line in lines),
      "}",
    ]
  )


@pytest.mark.parametrize(
  ("line", "kind", "sent"),
  [
    (
      "%g = (bf16[2,8]{1,0}, bf16[8,8]{1,0}) all-gather-start(%p), "
      "replica_groups=[2,4]<=[8], dimensions={0}",
      "all-gather",
      128 * 3 / 4,
    ),
    (
      "%g = bf16[8,8]{1,0} all-gather(%p), channel_id=3, "
      "replica_groups=mesh['x'=2,'y'=4] {'y'}, dimensions={0}",
      "all-gather",
      128 * 3 / 4,
    ),
    (
      "%g = bf16[8,8]{1,0} all-gather(%p), "
      "replica_groups=mesh['x'=8]{'x':(2)4}, dimensions={0}",
      "all-gather",
      128 * 3 / 4,
    ),
    (
      "%r = (f32[], bf16[2,8]{1,0}) all-reduce(%p, %p), "
      "replica_groups={{0,1},{2,3}}",
      "all-reduce",
      4 + 32,
    ),
    (
      "%c = (bf16[2,8], bf16[2,8], u32[]{:S(2)}, u32[]{:S(2)}) "
      "collective-permute-start(%p), channel_id=1, source_target_pairs={{0,1}}",
      "collective-permute",
      32,
    ),
    (
      "%s = bf16[2,8] reduce-scatter(%p), replica_groups={}",
      "reduce-scatter",
      7 * 32,
    ),
  ],
)
def test_collectives_are_parsed_from_hlo(line, kind, sent):
  counted = collectives.count(_program(line), devices=8)
  assert counted == {kind: {"number": 1, "bytes": sent}}


def test_one_that_stands_in_several_fusions_counts_once():
  line = "bf16[8,8] all-gather(%p), channel_id=7, replica_groups=[1,8]<=[8]"
  text = _program(f"%g = {line}", f"%h = {line}")
  assert collectives.count(text, devices=8)["all-gather"]["number"] == 1
  apart = text.replace("channel_id=7", "channel_id=8", 1)
  assert collectives.count(apart, devices=8)["all-gather"]["number"] == 2


def test_alone_nothing_is_sent():
  line = "%r = bf16[2,8] all-reduce(%p), replica_groups={{0},{1}}"
  assert collectives.count(_program(line), devices=2) == {}
