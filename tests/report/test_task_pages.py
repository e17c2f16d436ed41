"""The pictures of a task have rows, sizes and texts that are legible."""

import fake_runs
import numpy as np
import parsed_page

from jaxvision import report
from jaxvision.runs import pages


def _page(workdir, **page):
  record = {"recipe": "r.py", "overrides": {}, "config": fake_runs.CONFIG}
  fake_runs.write_json(workdir / "config.json", record)
  pages.write(workdir, [pages.Page(title="Pictures", **page)])
  return parsed_page.Page(report.write_report(workdir))


def _flows(page):
  return [
    each
    for tag, attributes in page.tags
    if tag == "div" and "pictures" in (each := attributes.get("class", ""))
  ]


def test_rows_of_pictures_are_kept(tmp_path):
  images = np.zeros((5, 8, 8, 3), np.uint8)
  page = _page(tmp_path, images=images, captions=list("abcde"), rows=(2, 3))
  assert _flows(page) == ["pictures"] * 2
  one, two = page.source.split('<div class="pictures">')[1:]
  assert one.count("<img") == 2 and two.count("<img") == 3
  assert pages.read(tmp_path)[0].rows == [2, 3]


def test_a_strip_has_a_wide_column_and_sharp_pixels(tmp_path):
  images = np.zeros((2, 30, 270, 4), np.uint8)
  page = _page(tmp_path, images=images, captions=["3", "4"])
  assert _flows(page) == ["pictures strips"]
  assert page.source.count('<img class="pixels" src="data:image/png') == 2


def test_long_captions_get_wider_columns(tmp_path):
  images = np.zeros((1, 8, 8, 3), np.uint8)
  page = _page(tmp_path, images=images, captions=["a caption " * 12])
  assert _flows(page) == ["pictures wide"]
