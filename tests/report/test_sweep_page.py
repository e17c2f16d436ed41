"""The page of a sweep shows results and their significance."""

import csv

import fake_sweeps
import numpy as np
import parsed_page
import pytest
from scipy import stats

from jaxvision import report
from jaxvision.report import numbers
from jaxvision.runs import sweep_folder


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  rng = np.random.default_rng(0)
  rows = [
    {
      "settings": {"optimizer.learning_rate": rate, "seed": seed},
      "value": base + rng.normal(0, 0.01),
    }
    for rate, base in ((0.01, 0.6), (0.1, 0.9), (1.0, 0.7))
    for seed in range(3)
  ]
  failed = {
    "settings": {"optimizer.learning_rate": 9.0, "seed": 0},
    "state": "failed",
    "reason": "diverged: <nan> & more",
  }
  folder = tmp_path_factory.mktemp("sweeps") / "rates"
  return fake_sweeps.write(folder, [*rows, failed])


@pytest.fixture(scope="module")
def path(workdir):
  """The page; to write it takes seconds."""
  return report.write_sweep(workdir)


def test_the_page_shows_the_question_and_the_result(workdir, path):
  assert path == workdir / "report.html"
  page = parsed_page.Page(path)
  text = path.read_text("utf-8")
  assert "Which rate &amp; which width?" in text
  assert "The highest mean." in text
  assert "diverged: &lt;nan&gt; &amp; more" in text
  assert "jaxvision sweep --rerun" in text
  assert "--config.optimizer.learning_rate=0.1" in text
  settings = page.tables[0]
  assert [row[0] for row in settings[1:]] == ["0.1", "1", "0.01"]
  assert [row[-1] for row in settings[1:]] == ["3"] * 3


def test_the_headline_is_the_best_setting_by_its_mean(workdir, path):
  text = parsed_page.Page(path).text
  rows = sweep_folder.read_sweep(workdir).trials
  best = [
    row.value
    for row in rows
    if row.state == "complete"
    and row.overrides["optimizer.learning_rate"] == 0.1
  ]
  half = stats.sem(best) * stats.t.ppf(0.975, 2)
  low, mean, high = (
    numbers.percent(float(np.mean(best) + each)) for each in (-half, 0, half)
  )
  assert (
    f"learning_rate=0.1: mean validation/top1 {mean}, 95 % [{low}, {high}], "
    "3 seeds"
  ) in text


def test_importance_has_bars(path):
  page = parsed_page.Page(path)
  bars = [
    float(each["style"].removeprefix("width:").removesuffix("%"))
    for tag, each in page.tags
    if tag == "i" and each.get("style", "").startswith("width:")
  ]
  assert sum(bars) == pytest.approx(100, abs=0.1)
  assert bars == sorted(bars, reverse=True)


def test_the_pairs_are_there_and_different(path):
  page = parsed_page.Page(path)
  pairs = page.tables[1]
  assert [row[0] for row in pairs[1:]] == [
    "1. learning_rate=0.1",
    "2. learning_rate=1",
    "3. learning_rate=0.01",
  ]
  assert float(pairs[1][2]) < 0.05
  assert pairs[1][1] == "\N{EN DASH}"


def test_the_csv_has_a_row_for_each_trial(workdir, path):
  with (workdir / "trials.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 10
  assert rows[9]["state"] == "failed" and rows[9]["reason"].startswith("div")
  assert rows[3]["optimizer.learning_rate"] == "0.1"
  assert 0.85 < float(rows[3]["validation/top1"]) < 0.95
  assert rows[3]["step"] == "20"


@pytest.mark.parametrize(
  "rows",
  [
    [],
    [{"settings": {}, "state": "running"}],
    [{"settings": {"seed": 0}, "state": "failed", "reason": "full"}],
    [{"settings": {"seed": 0}, "value": 0.5}],
  ],
)
def test_a_sweep_in_any_state_has_a_page(tmp_path, rows):
  path = report.write_sweep(fake_sweeps.write(tmp_path / "s", rows))
  assert "Which rate" in path.read_text("utf-8")


_FOLDED = {0.1: (0.5, 0.7, 0.65), 0.2: (0.9, 0.8, 0.73), 0.3: (0.99, 0.98)}
_SIZES = (11, 10, 40)


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
  """The page of a sweep over folds."""
  rows = [
    fake_sweeps.folded(
      {"rate": rate, "seed": seed},
      fold,
      # The mean over the seeds is `value`.
      value + (0.01 if seed else -0.01),
      size=_SIZES[fold],
    )
    for rate, values in _FOLDED.items()
    for fold, value in enumerate(values)
    for seed in (0, 1)
  ]
  folder = fake_sweeps.write(tmp_path_factory.mktemp("sweeps") / "s", rows)
  return parsed_page.Page(report.write_sweep(folder))


def test_the_table_over_folds_has_the_numbers_of_numpy_and_scipy(folded):
  page = folded
  rows = page.table("fold 0", "fold 1", "fold 2", "std", "out of fold")
  assert [row[0] for row in rows] == ["0.2", "0.1", "0.3"]
  for row, rate in zip(rows[:2], (0.2, 0.1), strict=True):
    values = np.array(_FOLDED[rate])
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    pooled = np.sum(values * _SIZES) / np.sum(_SIZES)
    ends = [values.mean() - half, min(values.mean() + half, 1)]
    assert row[-2] == f"[{', '.join(map(numbers.percent, ends))}]"
    expected = [*values, values.mean(), values.std(ddof=1), pooled]
    assert [*row[1:-2], row[-1]] == [*map(numbers.percent, expected)]
    assert abs(pooled - values.mean()) > 1e-3
  # The third setting has no result of a fold, and no out-of-fold metric.
  assert rows[2][3] == rows[2][-1] == "\N{EN DASH}"


def test_the_best_setting_is_that_of_the_best_mean_over_folds(folded):
  page = folded
  settings = page.table("rate", "mean", "folds", "runs")
  assert [row[0] for row in settings] == ["0.2", "0.1", "0.3"]
  assert [row[-2:] for row in settings] == [
    ["3 of 3", "6"],
    ["3 of 3", "6"],
    ["2 of 3", "4"],
  ]
  assert "rate=0.2: mean validation/top1 81.00%, 95 % [" in page.text
  assert "], 3 folds" in page.text and "best trial" not in page.text
  assert "best mean over the folds first" in page.text
  # One run of the best setting on the whole training split.
  assert "--config.data.folds=0" in page.text
  assert "--config.rate=0.2" in page.text
  assert "--config.data.fold=" not in page.text


def test_pairs_are_tested_over_folds(folded):
  page = folded
  (first, *_), *_ = page.table("1", "2", "3")
  table = page.table("1", "2", "3")
  assert first == "1. rate=0.2"
  p = stats.ttest_rel(_FOLDED[0.2], _FOLDED[0.1]).pvalue
  a, b = _FOLDED[0.1], _FOLDED[0.3]
  others = [
    stats.ttest_ind(_FOLDED[0.2], b, equal_var=False).pvalue,
    stats.ttest_ind(a, b, equal_var=False).pvalue,
  ]
  rank = sorted([p, *others]).index(p)
  assert float(table[0][2]) == pytest.approx((3 - rank) * p, rel=0.1)


def test_a_sweep_without_folds_has_no_table_of_them(path):
  page = parsed_page.Page(path)
  assert "out of fold" not in page.text and "3 of 3" not in page.text
