"""Metrics as a table."""

from jaxvision.cli import grids


def test_names_with_rows_and_columns_make_a_table():
  found = grids.lines(
    {
      "gradcam(layer='a/b')/deletion": 0.25,
      "gradcam(layer='a/b')/insertion": 0.5,
      "random/deletion": 0.125,
    }
  )
  rows = [line.split() for line in found]
  assert rows == [
    ["deletion", "insertion"],
    ["gradcam(layer='a/b')", "0.2500", "0.5000"],
    ["random", "0.1250", "-"],
  ]
  ends = [line.rstrip().rfind(line.split()[-1][-1]) for line in found]
  assert len(set(ends)) == 1


def test_other_names_have_a_line_each():
  found = grids.lines({"mixed/same": 0.5, "bg_gap": 0.25})
  assert [line.split() for line in found] == [
    ["mixed/same", "0.5000"],
    ["bg_gap", "0.2500"],
  ]
  assert grids.lines({}) == []
