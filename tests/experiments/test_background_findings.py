"""The findings of the study of backgrounds, from known accuracies."""

import experiment_scripts
import pytest


@pytest.fixture(scope="module")
def findings():
  return experiment_scripts.load("background_findings.py")


def _results(findings, gaps):
  """Two seeds, whose gaps of Original are given by network, in percent.

  The gap of other training sets is 0. Challenges are 0.1 below Mixed-Rand,
  which is 0.5. Only-BG-T alone classifies 0.75 of Only-BG-T.
  """
  tests = {f"backgrounds/{name}": 0.5 for name in findings.TITLES}
  challenge = {
    "backgrounds_challenge/accuracy": 0.4,
    "backgrounds_challenge/attacked": 0.9,
  }
  plain = {**tests, "backgrounds/bg_gap": 0.0, **challenge}
  backgrounds = {**tests, "backgrounds/bg_gap": 0.0}
  backgrounds["backgrounds/only_bg_t"] = 0.75
  seeds = []
  for both in gaps:
    seeds.append({})
    for network, gap in zip(findings.NETWORKS, both, strict=True):
      seeds[-1][network] = {
        **dict.fromkeys(findings.TRAINED_ON, plain),
        "original": {**plain, "backgrounds/bg_gap": gap / 100},
        "only_bg_t": backgrounds,
      }
  return seeds


def _rows(text):
  rows = [line.strip("|").split("|") for line in text.splitlines()]
  return {row[0].strip(): [each.strip() for each in row[1:]] for row in rows}


def test_verdicts_are_of_the_differences_seed_by_seed(findings):
  results = _results(findings, [(2.0, 12.0), (-2.0, 8.1)])
  rows = _rows(findings.judge(results, largest=0.25))
  # 12.706 is the 97.5 % quantile of Student's t of one degree of freedom, and
  # the standard errors are 2, 1.95 and 0.05 points.
  assert rows["gap, fine-tuned"] == ["+0.0 ± 25.4", "+20.2", "not shown"]
  assert rows["gap, scratch"] == ["+10.1 ± 24.8", "+20.2", "not shown"]
  assert rows["ImageNet"] == ["+10.1 ± 0.6", "+8.3", "holds"]
  assert rows["closed, scratch"] == ["+10.1 ± 24.8", "+20.4", "not shown"]
  for network in findings.NETWORKS:
    assert rows[f"background, {network}"] == ["+50.0 ± 0.0", "+39.1", "holds"]
    assert rows[f"fooled, {network}"] == ["+10.0 ± 0.0", "+63.6", "holds"]


def test_a_finding_can_be_reversed(findings):
  results = _results(findings, [(8.0, 3.0), (9.0, 4.0)])
  rows = _rows(findings.judge(results, largest=0.25))
  assert rows["ImageNet"] == ["-5.0 ± 0.0", "+8.3", "reversed"]


def test_the_table_has_a_row_for_each_training_set(findings):
  results = _results(findings, [(2.0, 12.0), (-2.0, 8.1)])
  header, _, *rows = findings.table(results, "scratch").splitlines()
  assert header.count("|") == 2 + 8 + 3
  original, *others, backgrounds, _ = [row.split(" | ") for row in rows]
  assert (original[0], original[-3:]) == (
    "| Original",
    ["10.1 ± 24.8", "40.0 ± 0.0", "90.0 ± 0.0 |"],
  )
  assert len(others) == 2
  assert (backgrounds[0], backgrounds[3]) == ("| Only-BG-T", "75.0 ± 0.0")
  assert backgrounds[-2:] == ["-", "- |"]


def test_the_figure_has_a_panel_for_each_network(findings):
  results = _results(findings, [(2.0, 12.0), (-2.0, 8.1)])
  figure = findings.draw(results, largest=0.34)
  titles = [axes.get_title() for axes in figure.axes]
  assert titles == ["fine-tuned", "scratch"]
  lines = [len(axes.containers) for axes in figure.axes]
  assert lines == [len(findings.TRAINED_ON)] * 2
