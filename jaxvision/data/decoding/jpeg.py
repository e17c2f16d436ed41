"""Partial decoding of JPEG files.

Most of the time is spent on entropy decoding, one row of blocks after another.
Therefore rows below the region can be skipped: a copy of the file whose header
states fewer rows is decoded, and the decoder stops there. Rows above and
columns beside the region cannot be skipped in this way. An image that will be
made smaller is decoded at a half, quarter or eighth of its size. This computes
only the low frequencies of each block: approximately the mean of the pixels
that become one.

At full size, the decoded rows are identical to those of a complete decoding.
They are the pixels of libjpeg-turbo, which OpenCV and Pillow also use.
"""

import dataclasses
import struct

import numpy as np

from jaxvision.data.decoding import orientation as orientations
from jaxvision.data.decoding import unreadable

# Markers of frames: sequential and progressive, with Huffman coding. Other
# frames, such as those with arithmetic coding, are rare and decoded by Pillow.
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (
  0xC3,
  *range(0xC5, 0xC8),
  *range(0xC9, 0xCC),
  *range(0xCD, 0xD0),
)
_SCAN, _END, _APP1, _COMMENT = 0xDA, 0xD9, 0xE1, 0xFE
# Markers without a length: fill bytes, and markers of entropy coding and its
# restarts.
_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD9), 0xFF))
# Metadata that decoders do not need: all APPn except those of JFIF and Adobe,
# which define the colours.
_METADATA = frozenset((*range(0xE1, 0xEE), 0xEF, _COMMENT))
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_FRAMES = frozenset((*_SEQUENTIAL, _PROGRESSIVE, *_OTHER_FRAMES))
_HEAD = struct.Struct(">BBH")  # of a segment: 255, marker, length
# Additional rows below the region, because chroma is interpolated between rows.
_BELOW = 2


# A block of 64 pixels needs at least one bit.
_PIXELS_PER_BYTE = 8 * 64
# Maximum number of scans of an image of the largest size; smaller images may
# have more. Encoders write about 10.
_MAX_SCANS = 16


@dataclasses.dataclass(frozen=True)
class Header:
  """The header of a file, from the segments before its first scan.

  Attributes:
    height, width: of the stored pixels, before the orientation is applied.
    orientation: of EXIF, 1 to 8; 1 is upright, 5 to 8 swap height and width.
    height_at: the byte offset of the height, which has two bytes.
    in_one_scan: whether each row is stored completely before the next row.
    common: whether `decode` supports it: a complete file of 8 bits, grey or
      three colours.
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
    """(height, width) after the orientation is applied."""
    stored = self.height, self.width
    return stored if self.orientation < 5 else stored[::-1]


def read_header(encoded: bytes) -> Header | None:
  """Reads the segments before the first scan.

  Bytes between segments are skipped, as in libjpeg.

  Returns:
    None if there is no frame, or if its height or width is 0.
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
      stated = orientations.UPRIGHT
      if exif or xmp:
        stated = orientations.read(exif=exif, xmp=xmp)
      return frame and _header(*frame, stated, encoded, body, tuple(metadata))
    elif marker in _METADATA:
      metadata.append((place, end))
      if marker == _APP1 and encoded.startswith(_EXIF, body):
        # A second segment continues the first one.
        exif += encoded[body + (len(_EXIF) if exif else 0) : end]
      elif marker == _APP1 and encoded.startswith(_XMP, body):
        xmp = encoded[body + len(_XMP) : end]
    elif marker == _END:
      return None
    place = end
  return None


def _next(encoded: bytes, place: int) -> int:
  """The next possible segment, after bytes that belong to no segment."""
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
  """The header of a frame: bits, height, width and number of components."""
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
  """Rejects a file whose decoding would take far more work than normal.

  Raises:
    UnreadableImage: the file has fewer bytes than such an image needs, or far
      more scans than encoders write, which would take hours to decode.
  """
  pixels = header.height * header.width
  if header.common and pixels > _PIXELS_PER_BYTE * len(encoded):
    raise unreadable.UnreadableImage(
      f"{len(encoded):,} bytes are too few for {header.width}x{header.height} "
      "pixels: the file is truncated or damaged"
    )
  if header.in_one_scan:
    return
  scans = encoded.count(b"\xff\xda")
  if scans * pixels > _MAX_SCANS * max_pixels:
    raise unreadable.UnreadableImage(
      f"{scans} scans of {header.width}x{header.height} pixels, more than "
      f"{_MAX_SCANS} scans of data.max_pixels={max_pixels:,}"
    )


def decode(
  encoded: bytes,
  header: Header,
  *,
  channels: int,
  divisor: int = 1,
  bottom: int | None = None,
) -> np.ndarray | None:
  """Decodes the upper part of an image and applies the orientation.

  Args:
    encoded: the file.
    header: of the file.
    channels: 3 for RGB, 1 for grey.
    divisor: 1, 2, 4 or 8. Height and width are divided by it and rounded up.
    bottom: the first row, of the undivided image, that is not needed. The
      result may contain some or all rows below it.

  Returns:
    (h, w, channels) uint8; None if the file cannot be decoded.
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
      # simplejpeg selects the smallest size that is not below these.
      min_height=-(-height // divisor),
      min_width=-(-header.width // divisor),
      # Missing rows and bytes between segments are not errors.
      strict=False,
    )
  except ValueError:
    return None
  upright = orientations.upright(image, header.orientation)
  return upright.reshape(*upright.shape[:2], channels)
