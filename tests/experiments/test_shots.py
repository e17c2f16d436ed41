"""The table and the figure of the studies that count examples per class."""

import experiment_scripts
import pytest


@pytest.fixture(scope="module")
def shots():
  return experiment_scripts.load("shots.py")


RESULTS = [
  {1: {"transfer": accuracy}, 5: {"transfer": 1.0, "lda": 0.5}}
  for accuracy in (0.9, 0.8, 0.7)
]


def test_summary_is_of_the_seeds(shots):
  way, number, mean, half = next(shots.summarize(RESULTS, ["transfer"]))
  assert (way, number) == ("transfer", 1)
  assert mean == pytest.approx(0.8)
  # Student's t of 2 degrees of freedom times the standard error 0.1 / sqrt(3).
  assert half == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)
  table = shots.table(RESULTS, ["transfer", "lda"])
  assert "| transfer | 80.0% ± 24.8 | 100.0% ± 0.0 |" in table
  assert "| lda | - | 50.0% ± 0.0 |" in table


def test_figure_has_a_line_for_each_way(shots, tmp_path):
  path = tmp_path / "figure.png"
  styles = {"transfer": {"color": "C0"}, "lda": {"linestyle": ":"}}
  shots.draw_figure(RESULTS, styles, path, title="accuracy (%)")
  assert path.stat().st_size > 10_000
