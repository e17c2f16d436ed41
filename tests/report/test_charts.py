"""Long curves keep their extremes, and texts cannot leave their element."""

import json

import numpy as np
import page_charts
import parsed_page
import pytest

from jaxvision.report import charts, html

EVIL = "</script><!--<script>\"'&"


def _drawn(tmp_path, **options):
  """The content of a chart on a page, as its script reads it."""
  options = {"title": "t", "axes": {"x": "x"}, "label": "y"} | options
  body = charts.figure(charts.Chart(**options))
  path = tmp_path / "page.html"
  path.write_text(html.document("page", body=body), "utf-8")
  (found,) = page_charts.of(parsed_page.Page(path)).values()
  return found


def _series(y, name="a"):
  y = np.asarray(y, float)
  return charts.Series(name, {"x": np.arange(len(y))}, y, "train")


def test_a_long_curve_keeps_its_extremes_and_its_ends(tmp_path):
  y = np.random.default_rng(0).normal(size=50_000)
  y[[17_000, 31_000]] = 90, -70
  (curve,) = _drawn(tmp_path, series=[_series(y)])["series"]
  assert len(curve["y"]) <= charts.MOST_POINTS
  kept = dict(zip(curve["x"]["x"], curve["y"], strict=True))
  assert kept[17_000] == 90 and kept[31_000] == -70
  assert {0, 49_999} <= kept.keys()
  for place, value in kept.items():
    assert value == pytest.approx(y[place], rel=1e-5)


def test_a_short_curve_keeps_every_value_and_its_gaps(tmp_path):
  y = [1.0, np.nan, np.inf, 2.5e-7, -3.0]
  (curve,) = _drawn(tmp_path, series=[_series(y)])["series"]
  assert curve["y"] == [1, None, None, 2.5e-7, -3]
  assert curve["x"]["x"] == [0, 1, 2, 3, 4]


def test_many_long_curves_make_a_small_page(tmp_path):
  y = np.random.default_rng(0).normal(size=5000)
  found = _drawn(tmp_path, series=[_series(y + i) for i in range(200)])
  assert len(json.dumps(found)) < 400_000
  assert min(len(each["y"]) for each in found["series"]) >= 28


@pytest.mark.parametrize(
  ("logarithm", "values", "expected"),
  [
    ("if wide", [1, 31], True),
    ("if wide", [1, 29], False),
    ("if wide", [-1, 31], False),
    ("if wide", [0, 1, 31], True),
    ("if wide", [np.nan], False),
    ("offered", [1, 31], False),
    ("", [1, 31], False),
  ],
)
def test_a_wide_range_begins_with_a_logarithm(
  tmp_path, logarithm, values, expected
):
  series = [_series(values)]
  assert _drawn(tmp_path, series=series, logarithm=logarithm)["log"] == expected
  page = (tmp_path / "page.html").read_text("utf-8")
  assert ('class="log" checked' in page) == expected
  assert ('class="log"' in page) == bool(logarithm)


def test_texts_cannot_leave_their_elements(tmp_path):
  found = _drawn(
    tmp_path, series=[_series([1, 2], EVIL)], axes={"x": EVIL}, label=EVIL
  )
  assert found["series"][0]["name"] == found["axes"]["x"] == EVIL
  page = parsed_page.Page(tmp_path / "page.html")
  assert [tag for tag, _ in page.tags].count("script") == 2
  keys = [x for tag, x in page.tags if tag == "button" and "data-name" in x]
  assert [key["data-name"] for key in keys] == [EVIL]
  (frame,) = (x for _, x in page.tags if x.get("class") == "canvas")
  assert frame["data-label"].startswith(f"t: {EVIL} by {EVIL}")


def test_kinds_of_points_differ_in_colour_or_shape():
  marks = [charts.mark(index) for index in range(40)]
  assert len(set(marks)) == 40
  styles = [charts.style(index) for index in range(21)]
  assert len(set(styles)) == 21
