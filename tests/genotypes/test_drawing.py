"""Pictures of genotypes: all parts of a cell, one way down, no overlaps."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from jaxvision import genotypes

NASBENCH201 = (
  "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
  "|nor_conv_3x3~0|none~1|skip_connect~2|"
)
ALL = (genotypes.NASNET_A, genotypes.ENAS, NASBENCH201)
SVG = "{http://www.w3.org/2000/svg}"


def _cells(text):
  root = ElementTree.fromstring(genotypes.draw(text))
  return root, root.findall(f"{SVG}g")


def _boxes(cell):
  """(x, y, width, height) of each box."""
  return [
    tuple(float(box.get(k)) for k in ("x", "y", "width", "height"))
    for box in cell.iter(f"{SVG}rect")
  ]


def test_a_screen_reader_reads_the_genotype():
  root, _ = _cells(genotypes.NASNET_A)
  assert root.get("role") == "img"
  assert root[0].tag == f"{SVG}title"
  assert genotypes.NASNET_A in root[0].text


def test_every_operation_and_state_is_drawn():
  _, (normal, reduction) = _cells(genotypes.NASNET_A)
  for cell, outputs in ((normal, 6), (reduction, 4)):
    texts = [each.text for each in cell.iter(f"{SVG}text")]
    operations = [t for t in texts if re.fullmatch(r"id|[a-z]+\dx\d", t)]
    assert len(operations) == 10
    assert sum(bool(re.fullmatch(r"\d: \+", t)) for t in texts) == 5
    arrows = [p for p in cell.iter(f"{SVG}path") if p.get("fill")]
    assert len(arrows) == 2 * 5 * 2 + outputs
  texts = [each.text for each in _cells(NASBENCH201)[0].iter(f"{SVG}text")]
  assert "none" not in texts
  assert {"avg_pool_3x3", "nor_conv_3x3", "output"} <= set(texts)


@pytest.mark.parametrize("text", ALL, ids=["nasnet_a", "enas", "nasbench201"])
def test_boxes_do_not_overlap_and_fit_the_picture(text):
  root, cells = _cells(text)
  width, height = map(float, root.get("viewBox").split()[2:])
  for cell in cells:
    top = float(re.search(r"translate\(0 (.*)\)", cell.get("transform"))[1])
    boxes = _boxes(cell)
    for i, (x, y, w, h) in enumerate(boxes):
      assert x >= 0 and x + w <= width and top + y + h <= height
      for other in boxes[:i]:
        apart = x >= other[0] + other[2] or other[0] >= x + w
        assert apart or y >= other[1] + h or other[1] >= y + h


@pytest.mark.parametrize("text", ALL, ids=["nasnet_a", "enas", "nasbench201"])
def test_lines_go_down_and_pass_between_boxes(text):
  for cell in _cells(text)[1]:
    boxes = _boxes(cell)
    lines = [p.get("d") for p in cell.iter(f"{SVG}path") if not p.get("fill")]
    assert lines
    for line in lines:
      heights = [float(y) for y in re.findall(r"[MC ][-\d.]+ ([-\d.]+)", line)]
      assert heights == sorted(heights)
      for x, y, low in re.findall(r"([\d.]+) ([\d.]+)V([\d.]+)", line):
        for left, top, w, h in boxes:
          beside = not left <= float(x) <= left + w
          assert beside or float(low) <= top or float(y) >= top + h


def test_colours_are_those_of_the_page():
  picture = genotypes.draw(NASBENCH201)
  assert set(re.findall(r'(?:stroke|fill)="([^"]*)"', picture)) == {
    "currentColor",
    "none",
  }


def test_a_cell_without_a_path_is_drawn():
  text = NASBENCH201.replace("avg_pool_3x3", "none")
  for name in ("nor_conv_1x1", "nor_conv_3x3", "skip_connect"):
    text = text.replace(name, "none")
  texts = [each.text for each in _cells(text)[0].iter(f"{SVG}text")]
  assert texts.count("3: zero") == 1


def test_a_text_that_is_no_genotype_is_refused():
  with pytest.raises(ValueError, match="is not a block"):
    genotypes.draw("id(0) / id(1)")
