"""Only the listed formats are decoded; file names do not matter."""

import os
import stat

import image_files
import numpy as np
import pytest

from jaxvision.data import decoding
from jaxvision.data.decoding import formats

PICTURE = image_files.PICTURE
KINDS = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "BMP": "BMP"} | {
  "WebP": "WEBP",
  "TIFF": "TIFF",
  "PNM": "PPM",
}
if image_files.HAS_AVIF:
  KINDS["AVIF"] = "AVIF"
OTHERS = ("EPS", "PDF", "DDS", "TGA", "PCX", "ICO", "SGI", "MSP", "XBM")
OTHERS += ("JPEG2000", "QOI", "ICNS", "SPIDER")


@pytest.mark.parametrize("name", KINDS)
def test_listed_formats_are_recognised(name):
  encoded = image_files.encode(PICTURE, KINDS[name])
  assert formats.recognise(encoded) == name
  assert formats.recognise(encoded[: formats.HEAD]) == name
  assert decoding.decode(encoded, channels=3).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", OTHERS)
def test_others_are_refused_although_pillow_reads_them(kind):
  modes = {"MSP": "1", "XBM": "1", "SPIDER": "F"}
  image = PICTURE.convert(modes.get(kind, "RGB"))
  encoded = image_files.encode(image, kind)
  assert formats.recognise(encoded) is None
  with pytest.raises(decoding.UnreadableImage, match="not an image"):
    decoding.decode(encoded, channels=3)


def test_postscript_runs_no_ghostscript(tmp_path, monkeypatch):
  """Pillow would start the program `gs` for it."""
  ran = tmp_path / "ran"
  (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n", "utf-8")
  (tmp_path / "gs").chmod(stat.S_IRWXU)
  monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
  plain = image_files.encode(PICTURE, "EPS")
  with_preview = b"\xc5\xd0\xd3\xc6" + bytes(26) + plain
  for encoded in (plain, with_preview):
    with pytest.raises(decoding.UnreadableImage, match=r"EPS.*convert it to"):
      decoding.decode(encoded, channels=3)
  assert not ran.exists()


def test_formats_are_described():
  for content, words in (
    (b"", "0 bytes that begin with nothing"),
    (b"hello", "5 bytes that begin with 68 65"),
    (b"<!DOCTYPE html><html>", "HTML"),
    (b"%PDF-1.7", "PDF"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    (b"PK\x03\x04", "ZIP"),
  ):
    assert words in formats.describe_other(content)
    assert formats.recognise(content) is None


def test_a_general_brand_may_be_avif():
  start = b"\0\0\0\x1cftypmif1\0\0\0\0mif1"
  assert formats.recognise(start + b"avifmiaf") == "AVIF"
  assert formats.recognise(start + b"heicmiaf") is None


def test_a_jpeg_with_further_pictures_is_its_first(tmp_path):
  turned = [PICTURE.rotate(180)]
  encoded = image_files.encode(
    PICTURE, "MPO", save_all=True, append_images=turned, quality=95
  )
  alone = image_files.encode(PICTURE, "JPEG", quality=95)
  np.testing.assert_array_equal(
    decoding.decode(encoded, channels=3), decoding.decode(alone, channels=3)
  )
