"""Charts are SVG in the page's colours; images keep their pixels."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jaxvision.report import figures


def _decode(uri):
  kind, data = uri.removeprefix("data:image/").split(";base64,")
  return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def _texts(svg):
  return ["".join(e.itertext()) for e in ET.fromstring(svg).iter() if e.text]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_small_images_keep_their_pixels(channels):
  image = np.random.default_rng(0).integers(0, 256, (9, 5, channels), np.uint8)
  kind, pixels = _decode(figures.image_uri(image))
  assert kind == "png"
  np.testing.assert_array_equal(pixels.reshape(image.shape), image)


def test_other_channels_are_averaged():
  image = np.stack([np.full((4, 4), v, np.uint8) for v in (0, 100)], axis=-1)
  np.testing.assert_array_equal(_decode(figures.image_uri(image))[1], 50)


def test_large_photographs_are_jpegs_but_sheets_stay_clear():
  image = np.full((120, 100, 3), 77, np.uint8)
  kind, pixels = _decode(figures.image_uri(image))
  assert kind == "jpeg"
  np.testing.assert_allclose(pixels, 77, atol=2)
  sheet = np.zeros((120, 100, 4), np.uint8)
  assert _decode(figures.image_uri(sheet))[0] == "png"


def test_an_exact_image_is_a_png_of_any_size():
  image = np.random.default_rng(0).integers(0, 256, (120, 100, 3), np.uint8)
  kind, pixels = _decode(figures.image_uri(image, exact=True))
  assert kind == "png"
  np.testing.assert_array_equal(pixels, image)


def _drawn(salt):
  """A chart with a clipped line, in the colours of the page."""
  colours = {"ink": "#010000", "train": "#010001"}
  figure = Figure(figsize=(2, 2))
  axes = figure.add_subplot()
  axes.plot([1, 2], color=colours["train"])
  axes.set_ylabel("loss")
  figures.colour_frame(axes, colours)
  return figures.svg(figure, colours, salt=salt)


def test_chart_uses_the_colours_of_the_page_only():
  colours = set(re.findall(r"(?:stroke|fill): ([^;\"]+)", _drawn("a")))
  assert colours == {"var(--ink)", "var(--train)", "none"}
  assert "loss" in _texts(_drawn("a"))


def test_charts_of_a_page_share_no_ids():
  ids = [set(re.findall(r' id="([^"]+)"', _drawn(salt))) for salt in ("a", "b")]
  assert ids[0]
  assert not ids[0] & ids[1]


def test_chart_is_reproducible():
  assert _drawn("a") == _drawn("a")


@pytest.mark.parametrize(("classes", "cells"), [(30, 30), (1000, 334)])
def test_confusion_image_shows_the_single_mistake(classes, cells):
  shares = np.eye(classes)
  shares[2, classes - 3] = 0.01
  svg = figures.confusion_image(shares)
  uri = re.search(r'href="(data:image/png;base64,[^"]+)"', svg)[1]
  _, pixels = _decode("".join(uri.split()))
  assert pixels.shape == (cells, cells, 4)
  seen = np.argwhere(pixels[..., 3] > 0)
  mistakes = [tuple(cell) for cell in seen if cell[0] != cell[1]]
  block = -(-classes // 400)
  assert mistakes == [(2 // block, (classes - 3) // block)]


def test_filters_show_sign_and_size():
  filters = np.zeros((2, 2, 2, 1))
  filters[0, 0, 0], filters[0, 1, 1] = 4.0, -2.0
  images = figures.filter_images(filters)
  assert images.shape == (2, 2, 2, 4)
  blue, vermillion = images[0, 0, 0], images[0, 1, 1]
  assert blue[2] > blue[0]
  assert vermillion[0] > vermillion[2]
  assert (blue[3], vermillion[3]) == (255, 128)
  np.testing.assert_array_equal(images[1, ..., 3], 0)


def test_colour_filters_are_grey_at_zero():
  filters = np.zeros((1, 1, 2, 3), np.float32)
  filters[0, 0, 0] = [2.0, 0.0, -2.0]
  image = figures.filter_images(filters)[0]
  np.testing.assert_array_equal(image[0, 0], [255, 128, 0, 255])
  np.testing.assert_array_equal(image[0, 1], [128, 128, 128, 255])


def test_tile_puts_every_image_once_row_by_row():
  images = np.zeros((7, 2, 3, 4), np.uint8)
  images[..., 0] = np.arange(1, 8)[:, None, None]
  images[..., 3] = 255
  sheet = figures.tile(images)
  tops = sheet[::3, ::4, 0]
  np.testing.assert_array_equal(tops.ravel()[:7], np.arange(1, 8))
  assert (sheet[..., 3] == 255).sum() == 7 * 2 * 3
