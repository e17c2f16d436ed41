"""The page of a search shows winners, curves, cells and correlations."""

import json

import parsed_page
import pytest
import search_cases

from jaxvision import report
from jaxvision.report import search_proxy

_KEY = search_cases.ARCH
# The second cell is the first one with an operation on zeros.
_CELLS = (
  "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|none~2|",
  "|none~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|none~2|",
  "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
)


def _trials(*cells_and_values):
  return [
    {"settings": {_KEY: _CELLS[i]}, "value": value}
    for i, value in cells_and_values
  ]


@pytest.fixture
def workdir(tmp_path):
  failed = {
    "settings": {_KEY: _CELLS[2]},
    "state": "failed",
    "reason": "diverged: <nan> & more",
  }
  return search_cases.write_folder(
    tmp_path / "W",
    {
      "random-0": [*_trials((0, 0.5), (1, 0.7), (2, 0.55)), failed],
      "evolution-0": _trials((2, 0.4), (0, 0.8)),
      "random-1": _trials((2, 0.3)),
      "evolution-1": [],
    },
    final={"a": [0.9, 0.92], "b": [0.8, 0.83], "c": [0.7, 0.7], "d": [0.6]},
    proxies={"a": 0.7, "b": 0.6, "c": 0.5},
    genotypes={_KEY: "nasbench201"},
  )


def _table(page, heading):
  return next(t for t in page.tables if t and t[0][0] == heading)


def test_the_page_shows_both_stages(workdir):
  path = report.write_search(workdir)
  assert path == workdir / "report.html"
  text, page = path.read_text("utf-8"), parsed_page.Page(path)
  assert "Which &lt;cell&gt;?" in text and "The highest &amp; best." in text
  assert "diverged: &lt;nan&gt; &amp; more" in text
  assert [row[0] for row in _table(page, "network")[1:]] == [*"abcd"]
  curves = {row[0]: row[1:] for row in _table(page, "searcher")[1:]}
  # Both searches of random have one child; evolution has one search.
  assert curves["random"][:2] == ["2", "0.4"]
  assert curves["evolution"][:2] == ["1", "0.8"]
  sweeps = {row[0]: row[1:] for row in _table(page, "sweep")[1:]}
  assert sweeps["random-0"][:5] == ["4", "3", "0", "1", "0"]
  assert sweeps["final"][:2] == ["7", "7"]
  assert "W/recipes/a.py --workdir runs/a" in text


def test_equivalent_cells_are_one_child_with_a_graph(workdir):
  page = parsed_page.Page(report.write_search(workdir))
  random, evolution = (
    [row[:3] for row in table[1:]]
    for table in page.tables
    if table and table[0][0] == "child"
  )
  assert random == [
    ["random-0, child 0", "0.6", "2"],
    ["random-0, child 2", "0.425", "2"],
  ]
  assert evolution[0] == ["evolution-0, child 1", "0.8", "1"]
  text = (workdir / "report.html").read_text("utf-8")
  assert text.count("<title>Genotype ") == 4
  assert "random-0, child 0: 60.00%" in text


def test_the_correlation_is_that_of_ranks(workdir):
  text = report.write_search(workdir).read_text("utf-8")
  assert "3 networks: Spearman 1.00" in text
  found = search_proxy.describe([1, 2, 3, 4], [1, 3, 2, 4])
  # 1 - 6 * 2 / (4 * 15), and (5 - 1) / 6 by hand.
  assert "Spearman 0.80" in found and "Kendall 0.67" in found
  assert "too few" in search_proxy.describe([1, 2], [1, 2])
  assert "too few" in search_proxy.describe([1, 1, 1], [1, 2, 3])


@pytest.mark.parametrize(
  "searches",
  [
    {"random-0": []},
    {"random-0": [{"settings": {_KEY: _CELLS[0]}, "state": "running"}]},
    {"random-0": [{"settings": {_KEY: _CELLS[0]}, "state": "failed"}]},
    {"grid-0": [{"settings": {"width": 8}, "value": 0.5}]},
  ],
)
def test_a_search_in_any_state_has_a_page(tmp_path, searches):
  workdir = search_cases.write_folder(tmp_path / "W", searches)
  assert "Which &lt;cell" in report.write_search(workdir).read_text("utf-8")


def test_a_damaged_trial_is_named(workdir):
  path = workdir / "random-0" / "trials" / "0001" / "trial.json"
  path.write_text(json.dumps({"number": 1}))
  text = report.write_search(workdir).read_text("utf-8")
  assert "trial.json is damaged" in text
