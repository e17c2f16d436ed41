"""The page and the pictures of explanations."""

import base64
import io

import numpy as np
import parsed_page
import pytest
from PIL import Image

from jaxvision import report

EVIL = "<b>cat & 'dog'</b>"


def explained(path, *, side=8, methods=("gradcam",), value=None):
  rng = np.random.default_rng(len(path))
  image = rng.integers(0, 256, (side, side, 3), np.uint8)
  kind = "probability" if value is None else "value"
  top = [
    {"class": EVIL, kind: 0.75 if value is None else value},
    {"class": "eel", kind: 0.25},
  ]
  return report.Explanation(
    path=path,
    image=image,
    target=EVIL,
    top=top,
    maps={each: np.zeros((side, side)) for each in methods},
    overlays=dict.fromkeys(methods, 255 - image),
  )


def write(folder, *found, **options):
  pictures = report.write_explanations(
    found, folder, title="resnet <18>", **options
  )
  return pictures, parsed_page.Page(folder / report.EXPLANATIONS)


def test_the_page_has_every_image_with_its_maps_and_classes(tmp_path):
  first = explained("a/x.png", methods=("gradcam", "smoothgrad(samples=2)"))
  broken = report.Explanation(path="a/y.png", error="not an image: <2 bytes>")
  pictures, page = write(
    tmp_path / "out", first, broken, note="The same for every class."
  )
  alts = page.attributes("img", "alt")
  assert alts == [
    "the image x.png",
    f"heat map of {EVIL} by gradcam over x.png",
    f"heat map of {EVIL} by smoothgrad(samples=2) over x.png",
  ]
  sources = page.attributes("img", "src")
  for source, expected in zip(
    sources, (first.image, *first.overlays.values()), strict=True
  ):
    kind, _, content = source.partition(",")
    assert kind == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert (shown == expected).all()
  rows = page.table("class", "probability")
  assert rows == [[EVIL, "75.00%"], ["eel", "25.00%"]]
  assert "resnet <18>" in page.text and "1 image · " in page.text
  assert "cannot be read: not an image: <2 bytes>" in page.text
  assert "The same for every class." in page.text
  assert list(pictures) == ["a/x.png"]
  assert pictures["a/x.png"] == tmp_path / "out" / "x.png"
  # Nothing is loaded from elsewhere.
  assert not page.attributes("link", "href") + page.attributes("script", "src")


def test_the_picture_has_the_image_and_the_maps_side_by_side(tmp_path):
  one = explained("x.png", methods=("gradcam", "flow"))
  pictures, _ = write(tmp_path, one)
  sheet = np.asarray(Image.open(pictures["x.png"]))
  for number, image in enumerate((one.image, *one.overlays.values())):
    left = 8 + number * (224 + 8)
    enlarged = image.repeat(28, axis=0).repeat(28, axis=1)
    assert (sheet[8:232, left : left + 224] == enlarged).all()
  text = sheet[260:]  # a line for the target, and one for each class
  assert (text.min(axis=(1, 2)) < 128).sum() > 3 * 8
  assert len(sheet) >= 260 + 3 * 20


def test_the_images_in_the_folder_are_not_overwritten(tmp_path):
  found = [explained(str(tmp_path / name)) for name in ("x.png", "y.jpg")]
  for each in found:
    with open(each.path, "wb") as file:
      file.write(b"photograph")
  pictures, _ = write(tmp_path, *found)
  assert [path.name for path in pictures.values()] == ["x-2.png", "y.png"]
  for each in found:
    with open(each.path, "rb") as file:
      assert file.read() == b"photograph"
  again, _ = write(tmp_path, *found)
  assert again == pictures


def test_images_of_one_name_have_different_pictures(tmp_path):
  found = [explained(path) for path in ("a/x.png", "b/X.jpg", "b/x.png")]
  pictures, page = write(tmp_path, *found)
  assert [path.name for path in pictures.values()] == [
    *("x.png", "X-2.png", "x-3.png")
  ]
  assert all(path.is_file() for path in pictures.values())
  assert "3 images" in page.text


def test_numbers_instead_of_classes(tmp_path):
  _, page = write(tmp_path, explained("x.png", value=2.5))
  assert page.table("class", "value")[0] == [EVIL, "2.5"]


@pytest.mark.parametrize(("side", "kind"), [(96, "png"), (97, "jpeg")])
def test_large_images_are_jpeg(side, kind, tmp_path):
  _, page = write(tmp_path, explained("x.png", side=side))
  sources = page.attributes("img", "src")
  assert all(each.startswith(f"data:image/{kind}") for each in sources)
