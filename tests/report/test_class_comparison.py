"""What two networks decide differently, with scikit-learn and scipy."""

import fake_runs
import numpy as np
import parsed_page
import pytest
from scipy import stats
from sklearn import metrics

from jaxvision import report
from jaxvision.report import numbers
from jaxvision.runs import reading


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
  folder = tmp_path_factory.mktemp("runs")
  return [
    fake_runs.write_run(folder / "good", epochs=12),
    fake_runs.write_run(folder / "bad", epochs=2, learning_rate=0.005),
    fake_runs.write_run(folder / "middle", epochs=4, learning_rate=0.02),
  ]


@pytest.fixture(scope="module")
def page(workdirs, tmp_path_factory):
  path = tmp_path_factory.mktemp("pages") / "page.html"
  return parsed_page.Page(report.write_comparison(workdirs, path))


def _predictions(workdir):
  found = reading.read_run(workdir).predictions
  return found["labels"], found["probabilities"].argmax(axis=1)


def test_the_scores_of_classes_are_those_of_scikit_learn(page, workdirs):
  rows = page.table("class", "images", "range")
  assert {row[0] for row in rows} == set("0123456789")
  scores = [
    metrics.f1_score(*_predictions(each), average=None) for each in workdirs
  ]
  for row in rows:
    index = int(row[0])
    # In the order of the accuracies.
    expected = [scores[k][index] for k in (0, 2, 1)]
    assert row[2:] == [
      numbers.percent(float(value))
      for value in (*expected, max(expected) - min(expected))
    ]
  spans = [float(row[-1].removesuffix("%")) for row in rows]
  assert spans == sorted(spans, reverse=True)


def test_decisions_have_mcnemars_exact_test(page, workdirs):
  rows = page.table("only the best", "only this one", "p")
  assert [row[0] for row in rows] == ["middle", "bad"]
  right = [np.equal(*_predictions(each)) for each in workdirs]
  values = []
  for row, k in zip(rows, (2, 1), strict=True):
    table = [
      *(len(right[0]), np.sum(right[0] & right[k])),
      *(np.sum(right[0] & ~right[k]), np.sum(~right[0] & right[k])),
      np.sum(~right[0] & ~right[k]),
    ]
    assert row[1:-1] == [numbers.integer(float(each)) for each in table]
    values.append(stats.binomtest(table[2], table[2] + table[3]).pvalue)
  corrected = [min(1, max(values[0], values[1])), min(1, 2 * values[1])]
  assert values[1] < values[0]
  assert [row[-1] for row in rows] == [
    numbers.significant(float(each)) for each in corrected
  ]


def test_runs_on_other_examples_are_not_compared(workdirs, tmp_path):
  other = fake_runs.write_run(tmp_path / "other", epochs=3, learning_rate=0.01)
  with np.load(other / "predictions.npz") as arrays:
    changed = {**arrays, "labels": (arrays["labels"] + 1) % 10}
  np.savez(other / "predictions.npz", **changed)
  path = tmp_path / "page.html"
  page = parsed_page.Page(report.write_comparison([*workdirs, other], path))
  rows = page.table("only the best", "only this one", "p")
  assert "other" not in {row[0] for row in rows}


def test_other_classes_have_no_table(workdirs, tmp_path):
  names = tuple("abcdefghij")
  other = fake_runs.write_run(
    tmp_path / "other", epochs=3, learning_rate=0.01, names=names
  )
  path = tmp_path / "page.html"
  page = parsed_page.Page(report.write_comparison([*workdirs, other], path))
  with pytest.raises(AssertionError, match="no table"):
    page.table("class", "range")


def test_seeds_are_compared_by_their_spread_not_by_decisions(
  workdirs, tmp_path
):
  again = fake_runs.write_run(tmp_path / "again", epochs=12, seed=1)
  path = tmp_path / "page.html"
  page = parsed_page.Page(report.write_comparison([*workdirs, again], path))
  with pytest.raises(AssertionError, match="no table"):
    page.table("only the best", "p")
  assert page.table("class", "range")
