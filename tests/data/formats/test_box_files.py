"""Boxes in tables and in the XML of PASCAL VOC."""

import pytest

from jaxvision import data
from jaxvision.data.formats import box_files

XML = """<annotation><filename>n01_7</filename><size><width>50</width></size>
{}</annotation>"""
OBJECT = """<object><name>n01</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>
<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def test_a_table_has_a_row_for_each_box(tmp_path):
  path = tmp_path / "boxes.csv"
  path.write_text(
    "file_name,label,xmin,ymin,xmax,ymax\n"
    "birds/a.jpg,bird,1,2,30,40\nb.png,cat,0,0,5,6\nb.png,cat,1,1,5.0,6\n"
  )
  assert data.read_boxes(path) == {
    "birds/a": [(2, 1, 40, 30)],
    "b": [(0, 0, 6, 5), (1, 1, 6, 5)],
  }


A, B, C = [(0, 0, 1, 1)], [(0, 0, 2, 2)], [(0, 0, 3, 3)]


@pytest.mark.parametrize(
  ("boxes", "paths", "expected"),
  [
    # By the name alone: no folders, or others than those of the images.
    ({"1": A, "2": B}, ["d/a/1.jpg", "d/b/2.png", "d/b/3.png"], [A, B, ()]),
    ({"val/1": A, "a/9": B}, ["d/a/1.jpg", "d/b/2.png"], [A, ()]),
    ({"1": A}, ["1.jpg"], [A]),
    # By the folder: three images have the same name.
    (
      {"a/1": A, "b/1": B},
      ["d/b/1.jpg", "d/a/1.jpg", "d/c/1.jpg"],
      [B, A, ()],
    ),
    # The box is that of an image in the folder a, which this split lacks.
    ({"a/1": A, "b/2": B}, ["d/c/1.jpg", "d/a/3.jpg"], [(), ()]),
    # Letters with accents as one character, and as two.
    ({"caf\u00e9": C}, ["a/cafe\u0301.jpg"], [C]),
  ],
)
def test_boxes_are_assigned_by_folder_and_name(boxes, paths, expected):
  assert box_files.of_images(boxes, paths) == expected


@pytest.mark.parametrize(
  ("boxes", "paths"),
  [
    ({"1": A}, ["d/a/1.jpg", "d/b/1.jpg"]),
    ({"e/1": A}, ["d/a/1.jpg", "d/b/1.jpg"]),
    ({"e/1": A, "f/1": B}, ["d/a/1.jpg"]),
  ],
)
def test_boxes_of_one_of_several_images_are_refused(boxes, paths):
  with pytest.raises(ValueError, match=r"1 may belong to a/1 or to another"):
    box_files.of_images(boxes, paths)


def test_xml_of_imagenet(tmp_path):
  for name, boxes in {"n01_7": [(3, 4, 20, 30)], "n01_8": []}.items():
    path = tmp_path / "n01" / f"{name}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(XML.format("".join(OBJECT.format(*b) for b in boxes)))
  assert data.read_boxes(tmp_path) == {"n01/n01_7": [(4, 3, 30, 20)]}


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("file,xmin,ymin,xmax,ymax\n", "lacks the columns file_name"),
    ("file_name,xmin,ymin,xmax,ymax\na.png,1,2,x,4\n", "line 2 is not a box"),
    ("xmin,ymin,xmax,ymax,file_name\n1,2,3,4\n", "line 2 .* no file_name"),
    ("file_name,xmin,ymin,xmax,ymax\n,1,2,3,4\n", "line 2 .* no file_name"),
    ("file_name,xmin,ymin,xmax,ymax\na.png,5,2,5,4\n", r"the box of a\.png"),
  ],
)
def test_a_wrong_table_names_the_line(tmp_path, text, message):
  path = tmp_path / "boxes.csv"
  path.write_text(text)
  with pytest.raises(ValueError, match=message):
    data.read_boxes(path)


@pytest.mark.parametrize(
  "text",
  ["no xml", "<!DOCTYPE a><a/>", XML.format(OBJECT.format("", 1, 2, 3))],
)
def test_wrong_xml_is_named(tmp_path, text):
  (tmp_path / "n01_7.xml").write_text(text)
  with pytest.raises(ValueError, match=r"n01_7\.xml is not XML of PASCAL VOC"):
    data.read_boxes(tmp_path)


def test_a_folder_without_xml(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"NAME\.xml"):
    data.read_boxes(tmp_path)
