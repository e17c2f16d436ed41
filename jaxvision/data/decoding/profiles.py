"""Detection of damaged colour profiles in image files.

Profiles are not applied: pixels stay as stored. A damaged profile has no effect
here, but other programs warn of it or show other colours.
"""

import zlib

from jaxvision.data.decoding import formats, jpeg, png, tiff, webp

_IN_JPEG = b"ICC_PROFILE\0"
_IN_TIFF = 34675
_IN_WEBP = b"ICCP"
_LONGEST = 2**24  # bytes, decompressed
_HEAD, _SIGNATURE = 132, b"acsp"  # ICC.1:2010, section 7.2
# Length and CRC of two sRGB profiles that libpng calls incorrect in a PNG
# (png.c, png_sRGB_checks).
_INCORRECT = ((3144, 0x182EA552), (3144, 0xF29E526D))


def is_broken(encoded: bytes) -> bool:
  """Whether a file has an invalid profile, or one that is known to be wrong."""
  try:
    profile = _profile(encoded)
  except Exception:  # the pixels cannot be read either
    return False
  if profile is None:
    return False
  wrong = (len(profile), zlib.crc32(profile)) in _INCORRECT
  if wrong and formats.recognise(encoded) == "PNG":
    return True
  stated = int.from_bytes(profile[:4])
  return (
    len(profile) < _HEAD
    or stated != len(profile)
    or profile[36:40] != _SIGNATURE
  )


def _profile(encoded: bytes) -> bytes | None:
  """The profile of a file; empty if its parts are incomplete."""
  kind = formats.recognise(encoded)
  if kind == "PNG":
    stored = png.read_header(encoded).profile
    return None if stored is None else _inflated(stored)
  if kind == "JPEG":
    return _from_jpeg(encoded)
  if kind == "WebP":
    return webp.chunks(encoded).get(_IN_WEBP)
  if kind == "TIFF":
    return tiff.read(encoded).text(_IN_TIFF)
  return None


def _inflated(stored: bytes) -> bytes:
  """Decompresses a profile after its name and method (PNG 1.2, 4.2.2)."""
  name, _, rest = stored.partition(b"\0")
  if not 1 <= len(name) <= 79 or rest[:1] != b"\0":
    return b""
  try:
    return zlib.decompressobj().decompress(rest[1:], _LONGEST)
  except zlib.error:
    return b""


def _from_jpeg(encoded: bytes) -> bytes | None:
  """Joins the parts, each of which has its number, from 1, and the total."""
  header, parts = jpeg.read_header(encoded), {}
  for first, last in header.metadata if header else ():
    body = encoded[first + 4 : last]
    if body.startswith(_IN_JPEG) and len(body) > len(_IN_JPEG) + 2:
      number, count = body[len(_IN_JPEG) : len(_IN_JPEG) + 2]
      parts[number] = count, body[len(_IN_JPEG) + 2 :]
  if not parts:
    return None
  (count, _), *_ = parts.values()
  if set(parts) != set(range(1, count + 1)):
    return b""
  return b"".join(parts[number][1] for number in range(1, count + 1))
