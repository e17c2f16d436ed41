"""The benchmark of host transforms: both sides do the same."""

import pathlib
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from jaxvision import data

_PATH = (
  pathlib.Path(__file__).parents[3]
  / "experiments"
  / "benchmarks"
  / "augmentation.py"
)
BENCHMARK = runpy.run_path(str(_PATH))
PAIRS = {
  call: pillow
  for call, pillow in BENCHMARK["CALLS"].items()
  if pillow and (not call.startswith("random_") or "p=1" in call)
}


@pytest.mark.parametrize("call", PAIRS)
def test_both_sides_make_about_the_same_image(call):
  image = BENCHMARK["photo"]()
  ours = data.make_host_transform((call,))(np.random.default_rng(0), image)
  theirs = np.asarray(PAIRS[call](Image.fromarray(image)), int)
  assert ours.shape == theirs.shape
  assert np.abs(ours - theirs).mean() < 1.5


def test_it_prints_a_row_for_each(monkeypatch, capsys):
  arguments = ["augmentation.py", "--only", "o", "--rounds", "1"]
  monkeypatch.setattr(sys, "argv", arguments)
  monkeypatch.setitem(BENCHMARK["main"].__globals__, "_SECONDS", 1e-4)
  BENCHMARK["main"]()
  rows = capsys.readouterr().out.splitlines()[2:]
  assert len(rows) == sum("o" in call for call in BENCHMARK["CALLS"])
  for row in rows:
    _, _, ours, theirs, ratio, _ = (cell.strip() for cell in row.split("|"))
    assert float(ours) >= 0
    assert (theirs == "-") == (ratio == "-")
