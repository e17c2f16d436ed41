"""Detection of broken colour profiles in all formats."""

import zlib

import image_files
import pytest
from PIL import ImageCms

from jaxvision.data.decoding import profiles

encode, chunk, segment = (
  image_files.encode,
  image_files.chunk,
  image_files.segment,
)
PICTURE = image_files.PICTURE
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
KINDS = ("PNG", "JPEG", "WEBP", "TIFF")


def with_profile(kind, profile):
  return encode(PICTURE, kind, icc_profile=profile)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_profiles_and_none_are_not_broken(kind):
  assert not profiles.is_broken(encode(PICTURE, kind))
  assert not profiles.is_broken(with_profile(kind, SRGB))
  assert not profiles.is_broken(with_profile(kind, image_files.profile()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
  "profile",
  [
    SRGB[:-1],
    SRGB + b"x",
    SRGB[:100],
    b"x" * 200,
    SRGB.replace(b"acsp", b"...."),
  ],
  # A profile has the time in it, and all test processes need the same names.
  ids=["cut", "longer", "header", "noise", "other"],
)
def test_an_invalid_profile_is_broken(kind, profile):
  assert profiles.is_broken(with_profile(kind, profile))


def test_a_profile_of_png_is_packed_after_a_name():
  png, packed = encode(PICTURE, "PNG"), zlib.compress(SRGB)
  for content, broken in (
    (b"name\0\0" + packed, False),
    (b"name\0\1" + packed, True),
    (b"\0\0" + packed, True),
    (b"n" * 80 + b"\0\0" + packed, True),
    (b"name\0\0" + packed[:50], True),
    (b"name\0\0x", True),
    (b"", True),
  ):
    encoded = image_files.with_chunks(png, chunk(b"iCCP", content))
    assert profiles.is_broken(encoded) == broken


def test_parts_of_a_profile_in_jpeg_are_all_needed():
  jpeg, half = encode(PICTURE, "JPEG"), len(SRGB) // 2
  start = b"ICC_PROFILE\0"
  one = segment(0xE2, start + b"\1\2" + SRGB[:half])
  two = segment(0xE2, start + b"\2\2" + SRGB[half:])
  for parts, broken in (
    ((one, two), False),
    ((two, one), False),
    ((one,), True),
    ((two,), True),
  ):
    encoded = image_files.with_segments(jpeg, *parts)
    assert profiles.is_broken(encoded) == broken


def test_a_file_that_is_not_an_image_has_no_profile():
  for content in (b"", b"x" * 100, b"\x89PNG\r\n\x1a\n", b"II*\0\0\0\0\0"):
    assert not profiles.is_broken(content)
