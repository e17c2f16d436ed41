"""TIFF directories; Pillow is the oracle."""

import io
import struct

import image_files
import numpy as np
import pytest
from PIL import Image

from jaxvision.data.decoding import tiff

PICTURE = image_files.PICTURE


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_values_are_those_that_pillow_reads(compression, big):
  encoded = image_files.encode(
    PICTURE, "TIFF", compression=compression, big_tiff=big, dpi=(72, 300)
  )
  directory = tiff.read(encoded)
  tags = Image.open(io.BytesIO(encoded)).tag_v2
  # Pillow packs no BigTIFF.
  assert directory.big == (encoded[2:3] == b"+") == (big and not compression)
  assert set(directory.entries) == set(tags)
  for tag in (tiff.WIDTH, tiff.HEIGHT, tiff.PHOTOMETRIC, tiff.BITS, 282, 283):
    first = tags[tag][0] if isinstance(tags[tag], tuple) else tags[tag]
    assert directory.number(tag) == first
  assert directory.number(9) is None and directory.text(9) is None


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_without_metadata_the_pixels_are_the_same(compression, big):
  encoded = image_files.encode(
    PICTURE,
    "TIFF",
    compression=compression,
    big_tiff=big,
    tiffinfo={270: "text", 274: 6, 700: b"xmp"},
    save_all=True,
    append_images=[PICTURE],
  )
  bare = tiff.without_metadata(encoded, tiff.read(encoded))
  found = tiff.read(bare)
  assert not {270, 274, 700} & set(found.entries)
  opened = Image.open(io.BytesIO(bare))
  assert opened.n_frames == 1
  np.testing.assert_array_equal(np.asarray(opened), image_files.PIXELS)


def test_strips_and_tiles_are_counted():
  values = np.zeros((40, 50), np.uint8)
  encoded = image_files.numbers_as_tiff(values, bits=8)
  assert tiff.parts(tiff.read(encoded)) == (1, 1)
  rows = struct.pack("<HHII", 278, 4, 1, 40)
  for height, needed in ((20, 2), (13, 4), (1, 40), (2**32 - 1, 1)):
    other = encoded.replace(rows, struct.pack("<HHII", 278, 4, 1, height))
    assert tiff.parts(tiff.read(other)) == (1, needed)
  tiled = tiff.Directory(
    "<",
    False,
    {
      tag: (b"", 4, np.asarray(values, "<u4").tobytes())
      for tag, values in {
        256: [50],
        257: [40],
        322: [16],
        323: [32],
        324: [8] * 8,
        284: [2],
        277: [3],
      }.items()
    },
  )
  assert tiff.parts(tiled) == (8, 4 * 2 * 3)


def test_damage_is_left_out():
  for content in (
    b"",
    b"II",
    b"II*\0\x08\0\0",
    b"xx*\0\0\0\0\0",
    b"II+\0\0\0\0\0",
  ):
    assert tiff.read(content) is None
  whole = image_files.exif(6)
  for length in range(8, len(whole)):
    found = tiff.read(whole[:length])
    assert found is None or set(found.entries) <= {0x010E, 0x0112}
  endless = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**64 - 1)
  assert tiff.read(endless).entries == {}
  far = image_files.tiff("<", [(700, 1, 2**31, b"\xff" * 4)])
  assert tiff.read(far).text(700) is None
