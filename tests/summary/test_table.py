"""Tests of jaxvision.summary.table: parameters and products of layers."""

import dataclasses

import pytest
import small_modules

from jaxvision import models, summary


def test_layer_table():
  table = summary.layer_table(small_modules.Nested(), image_shape=(4, 2, 3))
  assert [dataclasses.astuple(row) for row in table] == [
    ("", (1, 3), 2 * 6, 0),
    ("patches", (1, 2, 1, 6), 2 * 2 * 3 * 6 + 6, 2 * 2 * 2 * 3 * 6),
    ("dropout", (1, 2, 6), 0, 0),
    ("encoder", (1, 2, 6), 0, 0),
    *_rows_of_block("encoder/block_0"),
    *_rows_of_block("encoder/block_1"),
    ("head", (1, 3), 6 * 3 + 3, 6 * 3),
  ]


def _rows_of_block(block):
  """For two tokens: products of all pairs, for weights and for means."""
  return [
    (block, (1, 2, 6), 0, 2 * 2 * 2 * 6),
    (f"{block}/value", (1, 2, 6), 6 * 6 + 6, 2 * 6 * 6),
    (f"{block}/norm", (1, 2, 6), 12, 0),
  ]


@pytest.mark.parametrize(
  "depth, paths",
  [
    (0, [""]),
    (1, ["", "patches", "encoder", "head"]),
    (2, ["", "patches", "encoder/block_0", "encoder/block_1", "head"]),
  ],
)
def test_rows_at_a_depth_sum_their_submodules(depth, paths):
  deepest = summary.layer_table(small_modules.Nested(), image_shape=(8, 8, 3))
  table = summary.at_depth(deepest, depth)
  assert [row.path for row in table] == paths
  for key in ("parameters", "macs"):
    total = sum(getattr(row, key) for row in deepest)
    assert sum(getattr(row, key) for row in table) == total
  assert table[0].output_shape == (1, 3)


def test_layer_table_looks_into_scanned_blocks():
  written_out, scanned = (
    summary.layer_table(
      models.create("bit_r50x1", num_classes=2, units=(3,), scan_layers=scan),
      image_shape=(32, 32, 3),
    )
    for scan in (False, True)
  )
  assert scanned == written_out


def test_a_layer_that_is_called_twice_counts_twice():
  table = summary.layer_table(small_modules.Twice(), image_shape=(4, 2, 3))
  assert table == [
    summary.Layer("", (1, 3), 0, 0),
    summary.Layer("shared", (1, 3, 2, 3), 12, (4 * 2 + 3 * 2) * 9),
  ]
