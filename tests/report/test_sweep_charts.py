"""The charts of a sweep: history, slices and contours."""

import re

import fake_sweeps
import numpy as np
import page_charts
import parsed_page
import pytest

from jaxvision import report
from jaxvision.report import sweep_charts, sweep_contours
from jaxvision.runs import sweep_folder

RATES, WIDTHS = (0.001, 0.01, 0.1), (8, 16)


def _value(rate, width, seed):
  return 0.9 - 0.1 * abs(np.log10(rate) + 2) + width / 400 + seed / 1000


@pytest.fixture(scope="module")
def rows():
  return [
    {
      "settings": {
        "optimizer.learning_rate": rate,
        "model.options.width": width,
        "model.name": "a" if width == 8 else "b",
        "seed": seed,
      },
      "value": _value(rate, width, seed),
    }
    for rate in RATES
    for width in WIDTHS
    for seed in (0, 1)
  ]


@pytest.fixture(scope="module")
def page(rows, tmp_path_factory):
  folder = tmp_path_factory.mktemp("sweeps") / "s"
  cut = {
    "settings": {**rows[0]["settings"], "seed": 7},
    "state": "pruned",
    "value": None,
  }
  return parsed_page.Page(
    report.write_sweep(fake_sweeps.write(folder, [*rows, cut]))
  )


def test_the_history_has_each_trial_and_the_best_so_far(page, rows):
  chart = page_charts.of(page)["History"]
  series = {each["name"]: each for each in chart["series"]}
  values = np.array([row["value"] for row in rows])
  complete = series["complete"]
  assert chart["label"] == "validation/top1 (%)"
  assert complete["y"] == pytest.approx(100 * values, rel=1e-5)
  assert complete["x"]["x"] == list(range(len(rows)))
  assert complete["texts"][3].startswith(
    "trial 3, learning_rate=0.001, width=16"
  )
  best = np.maximum.accumulate(values)
  # A step for each trial.
  assert series["best so far"]["y"][::2] == pytest.approx(100 * best, rel=1e-5)
  assert series["best so far"]["x"]["x"][::2] == list(range(len(rows)))
  assert series["pruned"]["x"]["x"] == [len(rows)]


def test_the_best_so_far_of_a_loss_falls(tmp_path):
  values = [0.5, 0.7, 0.2, 0.4]
  rows = [{"settings": {"seed": i}, "value": v} for i, v in enumerate(values)]
  folder = fake_sweeps.write(tmp_path / "s", rows, goal="minimize")
  chart = page_charts.of(parsed_page.Page(report.write_sweep(folder)))[
    "History"
  ]
  (best,) = (s for s in chart["series"] if s["name"] == "best so far")
  assert best["y"] == [50, 50, 50, 50, 20, 20, 20]
  assert best["x"]["x"] == [0, 1, 1, 2, 2, 3, 3]


def test_a_slice_has_all_trials_and_the_mean_of_each_value(page, rows):
  chart = page_charts.of(page)["optimizer.learning_rate"]
  assert chart["wide"] == ["x"]
  mean, trials = chart["series"]
  assert trials["dash"] == "none" and len(trials["y"]) == len(rows)
  assert trials["x"]["x"] == sorted(trials["x"]["x"])
  assert mean["x"]["x"] == list(RATES)
  expected = [
    100 * np.mean([_value(rate, w, s) for w in WIDTHS for s in (0, 1)])
    for rate in RATES
  ]
  assert mean["y"] == pytest.approx(expected, rel=1e-5)


def test_labels_have_places(page):
  chart = page_charts.of(page)["model.name"]
  assert chart["categories"] == {"x": ["a", "b"]}
  assert set(chart["series"][1]["x"]["x"]) == {0, 1}
  assert chart["series"][0]["dash"] == "none"  # nothing lies between labels
  assert not chart["wide"]


def test_seeds_are_no_axis(page):
  charts = page_charts.of(page)
  assert "seed" not in charts
  drawn = page.source[page.source.index("Parallel coordinates") :]
  texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
  assert "learning_rate" in texts and "seed" not in texts
  assert "top1 (%)" in texts


def test_few_values_have_a_table_of_means(page):
  (table,) = (t for t in page.tables if t[0][0] == "width ↓ learning_rate →")
  assert table[0][1:] == ["0.001", "0.01", "0.1"]
  for row, width in zip(table[1:], WIDTHS, strict=True):
    assert row[0] == str(width)
    means = [np.mean([_value(r, width, s) for s in (0, 1)]) for r in RATES]
    assert row[1:] == [f"{100 * mean:.2f}%" for mean in means]


def _continuous(tmp_path, rows):
  folder = fake_sweeps.write(
    tmp_path / "s",
    [
      {"settings": {"a": float(a), "b": float(b)}, "value": float(v)}
      for a, b, v in rows
    ],
  )
  sweep = sweep_folder.read_sweep(folder)
  return sweep_contours.contours(sweep, ["a", "b"])


def test_many_numbers_have_contours_through_the_trials(tmp_path):
  rng = np.random.default_rng(0)
  a, b = 10 ** rng.uniform(-4, -1, 40), rng.uniform(0, 1, 40)
  svg = _continuous(tmp_path, zip(a, b, b, strict=True))
  assert svg.count("<svg") == 1 and "a and b" in svg
  opacities = re.findall(r"fill: var\(--train\); fill-opacity: ([\d.]+)", svg)
  assert len(set(opacities)) == 8
  # The darkest is the best: it is at the top, where b is near 1.
  assert float(opacities[-1]) == max(map(float, opacities))
  # The trials are where they belong, the wide axis is logarithmic.
  (marks,) = re.findall(
    r'<g clip-path="[^"]*">\s*((?:<use[^>]*/>\s*)+)</g>', svg
  )
  places = re.findall(r'x="([\d.]+)" y="([\d.]+)"', marks)
  x, y = np.array(places, float).T
  order = np.argsort(-b)  # the best trial is first
  assert np.corrcoef(x, np.log10(a)[order])[0, 1] > 0.9999
  assert np.corrcoef(-y, b[order])[0, 1] > 0.9999


@pytest.mark.parametrize("line", ["one place", "one line", "one value"])
def test_trials_without_a_surface_have_no_contours(tmp_path, line):
  a = np.linspace(0, 1, 12)
  rows = {
    "one place": [(0.5, 0.5, v) for v in a],
    "one line": zip(a, 2 * a, a, strict=True),
    "one value": zip(a, a**2, np.full(12, 0.5), strict=True),
  }[line]
  assert _continuous(tmp_path, rows) == ""


def test_many_trials_make_a_small_page(tmp_path):
  rng = np.random.default_rng(0)
  rows = [
    {
      "settings": {f"some.key{i}": float(rng.random()) for i in range(4)},
      "value": float(rng.random()),
    }
    for _ in range(3000)
  ]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  text = sweep_charts.slices(sweep, [f"some.key{i}" for i in range(4)])
  assert len(text) < 700_000
