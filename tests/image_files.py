"""Image files written by hand: chunks, segments and directories."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

Image.init()
HAS_AVIF = "AVIF" in Image.SAVE  # missing if Pillow was built without it
_NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
# Blocks of one colour each, so that JPEG keeps them; neither square nor grey.
PIXELS = np.kron(_NOISE, np.ones((8, 8, 1), np.uint8))
PICTURE = Image.fromarray(PIXELS)
# Luma of ITU-R BT.601 in integers of 2^-16, rounded, as a closed form.
_SHARES = np.asarray([19595, 38470, 7471])


def luma(pixels):
  return ((pixels.astype(np.int64) @ _SHARES + 0x8000) >> 16).astype(np.uint8)


def encode(image, kind, **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def chunk(kind, content):
  checksum = zlib.crc32(kind + content)
  return (
    struct.pack(">I", len(content))
    + kind
    + content
    + struct.pack(">I", checksum)
  )


def with_chunks(encoded, *chunks, at_end=False):
  place = -12 if at_end else 33
  return encoded[:place] + b"".join(chunks) + encoded[place:]


def png(height, width, *, depth=8, colour=2, rows=b""):
  """A PNG of raw rows, with any header."""
  header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
  return b"\x89PNG\r\n\x1a\n" + b"".join(
    (
      chunk(b"IHDR", header),
      chunk(b"IDAT", zlib.compress(rows)),
      chunk(b"IEND", b""),
    )
  )


def segment(marker, content):
  return (
    b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
  )


def with_segments(encoded, *segments):
  return encoded[:2] + b"".join(segments) + encoded[2:]


_LETTERS = {
  1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i",
  10: "ii", 11: "f", 12: "d", 13: "I", 16: "Q", 99: "B",
}  # fmt: skip


def exif(orientation, *, order="<", kind=3, count=1, prefixes=0):
  """EXIF of a text and an orientation of any type."""
  letters = _LETTERS[kind]
  numbers = (orientation, 1) if len(letters) == 2 else (orientation,)
  return b"Exif\0\0" * prefixes + tiff(
    order,
    [
      (0x010E, 2, 6, b"hello\0"),
      (0x0112, kind, count, struct.pack(order + letters, *numbers) * count),
    ],
  )


def tiff(order, entries, strip=b""):
  """A TIFF of entries (tag, type, count, values); its strip is at byte 8."""
  first = 8 + len(strip) + len(strip) % 2
  place = first + 2 + 12 * len(entries) + 4
  directory, behind = struct.pack(order + "H", len(entries)), b""
  for tag, kind, count, values in entries:
    directory += struct.pack(order + "HHI", tag, kind, count)
    if len(values) <= 4:
      directory += values.ljust(4, b"\0")
    else:
      directory += struct.pack(order + "I", place + len(behind))
      behind += values
  start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, first)
  return (start + strip).ljust(first, b"\0") + directory + bytes(4) + behind


def numbers_as_tiff(
  values, *, order="<", bits=16, sample_format=1, photometric=1
):
  """A TIFF of one strip, from (h, w) numbers or rows of bytes."""
  height, width = values.shape
  strip = values.tobytes()
  short, long = order + "H", order + "I"
  return tiff(
    order,
    [
      (256, 4, 1, struct.pack(long, width if bits >= 8 else width * 8 // bits)),
      (257, 4, 1, struct.pack(long, height)),
      (258, 3, 1, struct.pack(short, bits)),
      (259, 3, 1, struct.pack(short, 1)),
      (262, 3, 1, struct.pack(short, photometric)),
      (273, 4, 1, struct.pack(long, 8)),
      (277, 3, 1, struct.pack(short, 1)),
      (278, 4, 1, struct.pack(long, height)),
      (279, 4, 1, struct.pack(long, len(strip))),
      (339, 3, 1, struct.pack(short, sample_format)),
    ],
    strip,
  )


def xmp(orientation, style="attribute"):
  if style == "attribute":
    stated = b' tiff:Orientation="%d"/>' % orientation
  else:
    stated = b"><tiff:Orientation>%d</tiff:Orientation>" % orientation
  return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description' + stated


def gif_frame(encoded):
  """The offset of the size of a GIF's first frame."""
  return encoded.index(b",\0\0\0\0") + 5


def profile(length=200):
  """The head of a colour profile, and zeros."""
  return struct.pack(">I", length) + bytes(32) + b"acsp" + bytes(length - 40)
