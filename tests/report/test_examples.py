"""The table of predictions has the examples of its run, with their pictures."""

import base64
import io
import re

import fake_runs
import numpy as np
import parsed_page
import pytest
from PIL import Image

from jaxvision import report
from jaxvision.report import numbers


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return fake_runs.write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def page(workdir):
  return parsed_page.Page(report.write_report(workdir))


@pytest.fixture(scope="module")
def found(workdir):
  with np.load(workdir / "predictions.npz") as arrays:
    return dict(arrays)


def _rows(page):
  return [x for tag, x in page.tags if tag == "tr" and "data-example" in x]


def test_rows_are_the_examples_the_largest_loss_first(page, found):
  rows = _rows(page)
  order = [int(row["data-example"]) for row in rows]
  assert order == np.argsort(-found["losses"], kind="stable").tolist()
  predicted = found["probabilities"].argmax(axis=1)
  for place, row in zip(order, rows, strict=True):
    assert int(row["data-true"]) == found["labels"][place]
    assert int(row["data-predicted"]) == predicted[place]
    right = found["labels"][place] == predicted[place]
    assert row["data-result"] == ("right" if right else "wrong")
    confidence = found["probabilities"][place].max()
    assert float(row["data-confidence"]) == pytest.approx(confidence, rel=1e-5)
  cells = page.table("picture", "true", "predicted", "confidence", "loss")
  for place, (_, true, shown, confidence, loss, _) in zip(
    order, cells, strict=True
  ):
    assert true == str(found["labels"][place])
    assert shown.split()[0] == str(predicted[place])
    assert confidence == numbers.percent(found["probabilities"][place].max())
    assert loss == numbers.significant(float(found["losses"][place]))


def test_each_picture_is_a_part_of_the_sheet(page, found):
  """A browser places the background at x% of (size of sheet - size of part)."""
  uri, wide, high = re.search(
    r"\.thumb\{background-image:url\(data:image/png;base64,(.*?)\);"
    r"background-size:(\d+)% (\d+)%",
    page.source,
  ).groups()
  sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
  columns, rows = int(wide) // 100, int(high) // 100
  assert sheet.shape == (8 * rows, 8 * columns)
  styles = [
    x["style"]
    for tag, x in page.tags
    if tag == "div" and x.get("class") == "thumb"
  ]
  order = np.argsort(-found["losses"], kind="stable")
  for place, style in zip(order, styles, strict=True):
    x, y = map(float, re.findall(r"[\d.]+", style))
    left = round(x / 100 * (columns - 1) * 8)
    top = round(y / 100 * (rows - 1) * 8)
    part = sheet[top : top + 8, left : left + 8]
    np.testing.assert_array_equal(part, found["sample_images"][place, ..., 0])


def test_fields_and_pictures_have_names_for_screen_readers(page):
  for tag, attributes in page.tags:
    if tag == "div" and attributes.get("class") == "thumb":
      assert attributes["role"] == "img" and attributes["aria-label"]
  labels = page.source.count("<label")
  fields = [tag for tag, _ in page.tags if tag in ("select", "input")]
  # The two ends of the confidence are in one label, and have their own names.
  assert len(fields) == labels + 1


def test_a_run_of_an_earlier_version_has_the_other_sections(workdir, tmp_path):
  for name in ("config.json", "result.json", "evaluation.npz"):
    (tmp_path / name).write_bytes((workdir / name).read_bytes())
  page = parsed_page.Page(report.write_report(tmp_path))
  assert "Confusion matrix" in page.text and "mistakes" in page.text
  assert not _rows(page)
  for title in ("Predictions", "Reliability", "Embedding"):
    assert f"<h2>{title}</h2>" not in page.source
  assert "predictions.npz" not in page.text
