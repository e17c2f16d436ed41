"""Parallel coordinates place each value correctly on its axis."""

import re

import numpy as np
import pytest

from jaxvision.report import parallel_coordinates


def _lines(svg):
  """Heights of the points of each line, the first drawn first."""
  paths = re.findall(r'<path d="([^"]+)"[^>]*stroke-linecap', svg)
  found = []
  for path in paths:
    points = re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)
    found.append([float(y) for _, y in points])
  return [line for line in found if len(line) > 2]


def test_each_trial_is_a_line_the_best_in_colour_and_last():
  columns = {"a": [1, 2, 3], "optimizer.name": ["x", "y", "x"]}
  svg = parallel_coordinates.parallel_coordinates(
    columns, np.array([0.9, 0.5, 0.4]), name="top1"
  )
  lines = _lines(svg)
  assert len(lines) == 3
  # Upwards is less in SVG: the best is highest on the last axis.
  assert lines[-1][-1] < lines[1][-1] < lines[0][-1]
  assert svg.count("var(--series-1)") == 1
  assert ">name<" in svg and ">top1<" in svg and ">y<" in svg


def test_wide_positive_ranges_are_logarithmic():
  heights, ticks = parallel_coordinates._scaled([1e-4, 1e-3, 1e-2, 1e-1])
  np.testing.assert_allclose(heights, [0, 1 / 3, 2 / 3, 1], atol=1e-12)
  assert next(iter(ticks)) == "0.0001"
  heights, _ = parallel_coordinates._scaled([1, 2, 5])
  np.testing.assert_allclose(heights, [0, 0.25, 1])


@pytest.mark.parametrize("column", [[2, 2, None], ["a", "a", None]])
def test_a_missing_value_is_a_gap(column):
  heights, _ = parallel_coordinates._scaled(column)
  assert np.isfinite(heights[:2]).all() and np.isnan(heights[2])


def test_many_long_labels_leave_room_for_the_lines():
  """Genotypes: without a limit, matplotlib warns that the axes have no room."""
  column = [f"{i:03d} " + "sep5x5(0)+sep3x3(1) " * 10 for i in range(200)]
  heights, ticks = parallel_coordinates._scaled(column)
  np.testing.assert_allclose(heights, np.arange(200) / 199)
  assert len(ticks) == 12
  assert list(ticks)[1] == "017 sep5x5(0)+sep3x3(..."
  assert ticks["017 sep5x5(0)+sep3x3(..."] == pytest.approx(17 / 199)
  svg = parallel_coordinates.parallel_coordinates(
    {"genotype": column, "a": list(range(200))},
    np.arange(200.0)[::-1],
    name="top1",
  )
  assert len(_lines(svg)) == 200
