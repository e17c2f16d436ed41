"""JPEG files, decoded only as far down and as finely as needed.

Most of the work is undoing the entropy coding, row of blocks after row of
blocks, so that what lies below the wanted part can be left out: a copy of the
file whose header states fewer rows is decoded, and the decoder stops there.
Rows above and columns beside the part cannot be left out in this way. An image
that will be made smaller is decoded at a half, quarter or eighth of its size,
which computes only the low frequencies of each block: about the mean of the
pixels that become one.

The pixels of the rows that are decoded at full size are those of the whole
image, bit for bit; they are libjpeg-turbo's, as OpenCV's and Pillow's are.
"""

import dataclasses
import struct

import numpy as np

from jaxvision.data.decoding import orientation as lying
from jaxvision.data.decoding import unreadable

# Markers of frames: sequential ones and the progressive one, Huffman coded.
# Others, as arithmetic coding, are rare and left to Pillow.
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (
  0xC3,
  *range(0xC5, 0xC8),
  *range(0xC9, 0xCC),
  *range(0xCD, 0xD0),
)
_SCAN, _END, _APP1, _COMMENT = 0xDA, 0xD9, 0xE1, 0xFE
# Without a length: filling, and those of entropy coding and its restarts.
_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD9), 0xFF))
# Metadata, that no decoder needs: all APPn but those of JFIF and Adobe, which
# say what the colours are.
_METADATA = frozenset((*range(0xE1, 0xEE), 0xEF, _COMMENT))
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_FRAMES = frozenset((*_SEQUENTIAL, _PROGRESSIVE, *_OTHER_FRAMES))
_HEAD = struct.Struct(">BBH")  # of a segment: 255, marker, length
# Rows below the part, as chroma is interpolated between rows.
_BELOW = 2


# A block of 64 pixels takes a bit at least.
_PIXELS_PER_BYTE = 8 * 64
# Passes over all pixels that a file of the largest size may ask for; smaller
# ones may have more. Encoders write about 10.
_MAX_SCANS = 16


@dataclasses.dataclass(frozen=True)
class Header:
  """What a file says of itself before its first scan.

  Attributes:
    height, width: of the pixels as they are stored.
    orientation: of EXIF, 1 to 8; 1 is upright, 5 to 8 lie on their side.
    height_at: the place of the height in the file, two bytes.
    in_one_scan: whether all of a row is stored before the next one.
    common: whether it is a whole file of 8 bits, grey or three colours, that
      `decode` takes.
    metadata: (first byte, one past the last) of segments without pixels.
  """

  height: int
  width: int
  orientation: int
  height_at: int
  in_one_scan: bool
  common: bool
  metadata: tuple[tuple[int, int], ...]

  @property
  def shape(self) -> tuple[int, int]:
    """(height, width) as a viewer shows the image."""
    stored = self.height, self.width
    return stored if self.orientation < 5 else stored[::-1]


def read_header(encoded: bytes) -> Header | None:
  """Reads the segments before the first scan.

  Bytes between segments are stepped over, as libjpeg does.

  Returns:
    None if there is no frame before it, or one without height or width.
  """
  frame, exif, xmp, metadata, place = None, b"", None, [], 2
  last = len(encoded) - _HEAD.size
  while place <= last:
    start, marker, length = _HEAD.unpack_from(encoded, place)
    if start != 0xFF or marker in _BARE:
      place = _next(encoded, place)
      continue
    body, end = place + 4, place + 2 + length
    if marker in _FRAMES:
      frame = marker, body, encoded[body:end]
    elif marker == _SCAN:
      stated = lying.read(exif=exif, xmp=xmp) if exif or xmp else lying.UPRIGHT
      return frame and _header(*frame, stated, encoded, body, tuple(metadata))
    elif marker in _METADATA:
      metadata.append((place, end))
      if marker == _APP1 and encoded.startswith(_EXIF, body):
        # A second segment goes on where the first one ends.
        exif += encoded[body + (len(_EXIF) if exif else 0) : end]
      elif marker == _APP1 and encoded.startswith(_XMP, body):
        xmp = encoded[body + len(_XMP) : end]
    elif marker == _END:
      return None
    place = end
  return None


def _next(encoded: bytes, place: int) -> int:
  """Where a segment may begin, after bytes that belong to none."""
  if encoded[place] == 0xFF:
    place += 1 if encoded[place + 1] == 0xFF else 2
  found = encoded.find(b"\xff", place)
  return found if found >= 0 else len(encoded)


def _header(
  marker: int,
  place: int,
  frame: bytes,
  orientation: int,
  encoded: bytes,
  scan: int,
  metadata: tuple[tuple[int, int], ...],
) -> Header | None:
  """From a frame: bits, height, width, number of components."""
  if len(frame) < 6:
    return None
  height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
  if not height or not width:
    return None
  common = frame[0] == 8 and frame[5] in (1, 3) and marker not in _OTHER_FRAMES
  return Header(
    height,
    width,
    orientation,
    height_at=place + 1,
    in_one_scan=marker in _SEQUENTIAL and encoded[scan] == frame[5],
    common=common and encoded.endswith(b"\xff\xd9"),
    metadata=metadata,
  )


def without_metadata(encoded: bytes, header: Header) -> bytes:
  """The same file without EXIF, XMP, profiles, thumbnails and comments."""
  places = [0, *(edge for part in header.metadata for edge in part), None]
  pairs = zip(places[::2], places[1::2], strict=True)
  return b"".join(encoded[first:last] for first, last in pairs)


def check_work(encoded: bytes, header: Header, *, max_pixels: int) -> None:
  """Refuses a file that asks for more work than its size explains.

  Raises:
    UnreadableImage: fewer bytes than such an image can have, or far more passes
      over it than encoders make, which would keep a decoder busy for hours.
  """
  pixels = header.height * header.width
  if header.common and pixels > _PIXELS_PER_BYTE * len(encoded):
    raise unreadable.UnreadableImage(
      f"{len(encoded):,} bytes cannot hold {header.width}x{header.height} "
      "pixels: it is truncated or damaged"
    )
  if header.in_one_scan:
    return
  scans = encoded.count(b"\xff\xda")
  if scans * pixels > _MAX_SCANS * max_pixels:
    raise unreadable.UnreadableImage(
      f"{scans} passes over {header.width}x{header.height} pixels, more than "
      f"{_MAX_SCANS} over data.max_pixels={max_pixels:,}"
    )


def decode(
  encoded: bytes,
  header: Header,
  *,
  channels: int,
  divisor: int = 1,
  bottom: int | None = None,
) -> np.ndarray | None:
  """Decodes the upper part of an image, upright.

  Args:
    encoded: the file.
    header: of it.
    channels: 3 for RGB, 1 for grey.
    divisor: 1, 2, 4 or 8, by which height and width are divided, rounded up.
    bottom: rows, of the undivided image, from which on nothing is needed; the
      result may have some of them, or all.

  Returns:
    (h, w, channels) uint8; None if it cannot be decoded.
  """
  import simplejpeg

  height = header.height
  if bottom is not None and header.in_one_scan and header.orientation == 1:
    height = min(height, bottom + _BELOW * divisor)
  if height < header.height:
    place = header.height_at
    stated = height.to_bytes(2)
    encoded = b"".join((encoded[:place], stated, encoded[place + 2 :]))
  try:
    image = simplejpeg.decode_jpeg(
      encoded,
      "RGB" if channels == 3 else "GRAY",
      # The smallest size that is not below is exactly this one.
      min_height=-(-height // divisor),
      min_width=-(-header.width // divisor),
      # What lies below the part, and bytes between segments, are no errors.
      strict=False,
    )
  except ValueError:
    return None
  upright = lying.upright(image, header.orientation)
  return upright.reshape(*upright.shape[:2], channels)
