"""The benchmark of preparation measures all variants."""

import pathlib
import subprocess
import sys

import pytest

_SCRIPT = (
  pathlib.Path(__file__).parents[3] / "experiments/benchmarks/preparing.py"
)


@pytest.mark.slow
def test_it_measures_all_variants():
  command = [sys.executable, str(_SCRIPT), "--images", "4", "--rounds", "1"]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  title, _, *rows = done.stdout.splitlines()
  assert title.startswith("4 images of ")
  assert len(rows) == 2 + 4
  for row in rows[2:]:
    assert float(row.split("|")[3].replace(",", "")) > 0
