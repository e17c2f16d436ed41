"""The bins of the diagram are those of the calibration error."""

import fake_runs
import numpy as np
import page_charts
import parsed_page
from sklearn import calibration

from jaxvision import report
from jaxvision.report import reliability


def test_bins_are_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  confidences = rng.uniform(0.3, 1, 500)
  right = rng.random(500) < confidences
  counts, mean, accuracy = reliability.bins(confidences, right)
  assert counts.sum() == 500 and not counts[:4].any()
  expected = calibration.calibration_curve(right, confidences, n_bins=15)
  np.testing.assert_allclose(accuracy[counts > 0], expected[0])
  np.testing.assert_allclose(mean[counts > 0], expected[1])
  assert np.isnan(mean[counts == 0]).all()


def test_the_ends_of_the_range_are_in_the_first_and_last_bin():
  counts, _, _ = reliability.bins(np.array([0.0, 1 / 15, 1.0]), np.ones(3))
  assert counts[0] == 2 and counts[-1] == 1


def test_bars_and_curve_count_every_prediction(tmp_path):
  workdir = fake_runs.write_run(tmp_path / "run")
  charts = page_charts.of(parsed_page.Page(report.write_report(workdir)))
  with np.load(workdir / "predictions.npz") as found:
    shares, labels = found["probabilities"], found["labels"]
  wrong = (shares.argmax(axis=1) != labels).sum()
  bars = {x["name"]: sum(x["y"]) for x in charts["Confidences"]["series"]}
  assert bars == {"right": len(labels) - wrong, "wrong": wrong}
  model = charts["Reliability diagram"]["series"][1]
  accuracy, mean = calibration.calibration_curve(
    shares.argmax(1) == labels, shares.max(1), n_bins=15
  )
  np.testing.assert_allclose(model["y"], 100 * accuracy, rtol=1e-4)
  np.testing.assert_allclose(model["x"]["confidence"], 100 * mean, rtol=1e-4)
