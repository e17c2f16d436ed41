"""The comparison ranks runs, lists differences and averages over seeds."""

import json
import statistics

import fake_runs
import numpy as np
import page_charts
import parsed_page
import pytest
from scipy import stats

from jaxvision import report
from jaxvision.report import numbers

ACCURACIES = {"slow-0": 0.90, "slow-1": 0.94, "fast-0": 0.97, "fast-1": 0.95}


def _write(workdir, *, learning_rate, seed, top1=None):
  """A run of two evaluations, finished if it has an accuracy."""
  workdir.mkdir(parents=True)
  config = json.loads(json.dumps(fake_runs.CONFIG))
  config["seed"] = seed
  config["optimizer"]["learning_rate"] = learning_rate
  record = {"recipe": "r.py", "overrides": {}, "config": config}
  fake_runs.write_json(workdir / "config.json", record)
  lines = [
    {"step": step, "validation/top1": 0.4 + step / 100, "train/loss": 1 / step}
    for step in (1, 20)
  ]
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (workdir / "metrics.jsonl").write_text(text)
  if top1 is not None:
    result = {
      "status": "finished",
      "step": 20,
      "seconds": 61,
      "final": {"split": "test", "metrics": {"top1": top1, "loss": 1 - top1}},
    }
    fake_runs.write_json(workdir / "result.json", result)
  return workdir


@pytest.fixture
def workdirs(tmp_path):
  return [
    _write(
      tmp_path / "runs" / name,
      learning_rate=0.1 if name.startswith("slow") else 0.4,
      seed=int(name[-1]),
      top1=top1,
    )
    for name, top1 in ACCURACIES.items()
  ]


def _page(workdirs, tmp_path):
  path = tmp_path / "comparison.html"
  assert report.write_comparison(workdirs, path) == path
  return parsed_page.Page(path)


def test_runs_are_sorted_best_first_with_their_differences(workdirs, tmp_path):
  page = _page(workdirs, tmp_path)
  rows = page.table("run", "accuracy", "optimizer.learning_rate", "seed")
  best_first = sorted(ACCURACIES, key=ACCURACIES.get, reverse=True)
  assert [row[0] for row in rows] == best_first
  assert [row[2] for row in rows] == [
    numbers.percent(ACCURACIES[name]) for name in best_first
  ]
  heading = next(table[0] for table in page.tables if "run" in table[0])
  differing = [name for name in heading if "." in name or name == "seed"]
  assert differing == ["optimizer.learning_rate", "seed"]
  rate = heading.index("optimizer.learning_rate")
  assert [row[rate] for row in rows] == ["0.4", "0.4", "0.1", "0.1"]


def test_mean_and_spread_over_seeds(workdirs, tmp_path):
  rows = _page(workdirs, tmp_path).table("mean", "spread", "runs")
  for row, values in zip(rows, ([0.97, 0.95], [0.94, 0.90]), strict=True):
    mean, spread = statistics.mean(values), statistics.stdev(values)
    assert row[1:4] == [numbers.percent(mean), numbers.percent(spread), "2"]
  assert [row[0] for row in rows] == ["0.4", "0.1"]


def test_no_seeds_no_table(workdirs, tmp_path):
  page = _page([workdirs[0], workdirs[2]], tmp_path)
  with pytest.raises(AssertionError, match="no table"):
    page.table("mean", "spread")


def test_curves_are_coloured_by_group(workdirs, tmp_path):
  page = _page(workdirs, tmp_path)
  assert "optimizer.learning_rate=0.4 (2 seeds)" in page.text
  for chart in page_charts.of(page).values():
    curves = [(each["name"], each["colour"]) for each in chart["series"]]
    assert curves == [
      ("optimizer.learning_rate=0.4 (2 seeds)", "series-0"),
      ("optimizer.learning_rate=0.4 (2 seeds)", "series-0"),
      ("optimizer.learning_rate=0.1 (2 seeds)", "series-1"),
      ("optimizer.learning_rate=0.1 (2 seeds)", "series-1"),
    ]
  # A name switches all its curves, so a legend has it once.
  keys = page.source.count('class="key"')
  assert keys == 2 * len(page_charts.of(page))


def test_differences_to_the_best_have_p_values(workdirs, tmp_path):
  """Equal seeds are compared pair by pair."""
  rows = _page(workdirs, tmp_path).table("mean", "difference", "p")
  assert rows[0][4:6] == [numbers.NOTHING] * 2
  assert rows[1][4] == numbers.percent((0.90 + 0.94 - 0.97 - 0.95) / 2)
  expected = stats.ttest_rel([0.97, 0.95], [0.90, 0.94]).pvalue
  assert rows[1][5] == numbers.significant(float(expected))


def test_other_seeds_are_compared_by_their_means(workdirs, tmp_path):
  more = _write(
    tmp_path / "runs" / "slow-2", learning_rate=0.1, seed=2, top1=0.91
  )
  rows = _page([*workdirs, more], tmp_path).table("mean", "difference", "p")
  expected = stats.ttest_ind([0.97, 0.95], [0.90, 0.94, 0.91], equal_var=False)
  assert rows[1][5] == numbers.significant(float(expected.pvalue))


def test_links_lead_to_existing_reports(workdirs, tmp_path):
  report.write_report(workdirs[1])
  page = _page(workdirs, tmp_path)
  assert page.attributes("a", "href") == ["runs/slow-1/report.html"]


def test_links_survive_odd_folder_names(tmp_path):
  odd = _write(tmp_path / "50% of #1 ü", learning_rate=1.0, seed=0, top1=0.5)
  report.write_report(odd)
  (link,) = _page([odd], tmp_path).attributes("a", "href")
  assert link == "50%25%20of%20%231%20%C3%BC/report.html"


def test_unfinished_runs_are_last_and_not_in_the_mean(workdirs, tmp_path):
  unfinished = _write(tmp_path / "runs" / "torn", learning_rate=0.4, seed=7)
  page = _page([unfinished, *workdirs], tmp_path)
  last = page.table("run", "status")[-1]
  assert (last[0], last[2], last[-1]) == ("torn", numbers.NOTHING, "unfinished")
  mean = page.table("mean", "spread")[0][1]
  assert mean == numbers.percent(np.mean([0.97, 0.95]))


def test_runs_with_equal_names_are_distinguished(tmp_path):
  twins = [
    _write(tmp_path / place / "run", learning_rate=0.1, seed=seed, top1=0.5)
    for seed, place in enumerate(("a", "b"))
  ]
  rows = _page(twins, tmp_path).table("run", "accuracy")
  assert {row[0] for row in rows} == {"a/run", "b/run"}


def test_comparing_nothing_or_a_run_with_itself_is_an_error(workdirs, tmp_path):
  for wrong in ([], [workdirs[0], workdirs[0]]):
    with pytest.raises(ValueError, match="different run folders"):
      report.write_comparison(wrong, tmp_path / "comparison.html")


def test_folds_are_averaged_like_seeds(tmp_path):
  folders = []
  for fold, top1 in enumerate((0.9, 0.8, 0.7)):
    folder = _write(
      tmp_path / f"{fold}", learning_rate=0.1, seed=fold, top1=top1
    )
    record = json.loads((folder / "config.json").read_text())
    record["config"]["data"] |= {"folds": 3, "fold": fold}
    fake_runs.write_json(folder / "config.json", record)
    folders.append(folder)
  other = _write(tmp_path / "o", learning_rate=0.5, seed=0, top1=0.6)
  record = json.loads((other / "config.json").read_text())
  record["config"]["data"] |= {"folds": 3, "fold": 0}
  fake_runs.write_json(other / "config.json", record)
  path = report.write_comparison([*folders, other], tmp_path / "c.html")
  page = parsed_page.Page(path)
  rows = page.table("mean", "spread", "runs", "each")
  assert rows[0][1:4] == ["80.00%", "10.00%", "3"]
  assert "learning_rate=0.1 (3 runs)" in page.text
