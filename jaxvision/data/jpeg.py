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

import numpy as np

# Markers of frames: sequential ones and the progressive one, Huffman coded.
# Others, as arithmetic coding, are rare and left to Pillow.
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (
  0xC3,
  *range(0xC5, 0xC8),
  *range(0xC9, 0xCC),
  *range(0xCD, 0xD0),
)
_SCAN, _APP1 = 0xDA, 0xE1
_ORIENTATION = 0x0112  # the tag of EXIF 2.3, table 4
# Rows below the part, as chroma is interpolated between rows.
_BELOW = 2


@dataclasses.dataclass(frozen=True)
class Header:
  """What a file says of itself before its first scan.

  Attributes:
    height, width: of the pixels as they are stored.
    orientation: of EXIF, 1 to 8; 1 is upright, 5 to 8 lie on their side.
    height_at: the place of the height in the file, two bytes.
    in_one_scan: whether all of a row is stored before the next one.
  """

  height: int
  width: int
  orientation: int
  height_at: int
  in_one_scan: bool

  @property
  def shape(self) -> tuple[int, int]:
    """(height, width) as a viewer shows the image."""
    stored = self.height, self.width
    return stored if self.orientation < 5 else stored[::-1]


def read_header(encoded: bytes) -> Header | None:
  """Reads the segments before the first scan.

  Returns:
    None if this is no whole JPEG of 8 bits, grey or three colours.
  """
  if not (encoded.startswith(b"\xff\xd8") and encoded.endswith(b"\xff\xd9")):
    return None
  place, frame, orientation = 2, None, 1
  while place + 4 <= len(encoded) and encoded[place] == 0xFF:
    marker = encoded[place + 1]
    body = place + 4
    end = place + 2 + int.from_bytes(encoded[place + 2 : body])
    if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
      frame = marker, body, encoded[body:end]
    elif marker in _OTHER_FRAMES:
      return None
    elif marker == _APP1 and encoded.startswith(b"Exif\0\0", body):
      orientation = _orientation(encoded[body + 6 : end])
    elif marker == _SCAN:
      return frame and _header(*frame, orientation, encoded[body])
    place = end
  return None


def _header(
  marker: int, place: int, frame: bytes, orientation: int, in_scan: int
) -> Header | None:
  """From a frame: bits, height, width, number of components."""
  if len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3):
    return None
  height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
  if not height or not width:
    return None
  in_one_scan = marker in _SEQUENTIAL and in_scan == frame[5]
  return Header(height, width, orientation, place + 1, in_one_scan)


def _orientation(tiff: bytes) -> int:
  """That of the first directory; 1 if it has none or is damaged."""
  order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
  if order is None:
    return 1
  first = int.from_bytes(tiff[4:8], order)
  count = int.from_bytes(tiff[first : first + 2], order)
  for place in range(first + 2, first + 2 + 12 * count, 12):
    if int.from_bytes(tiff[place : place + 2], order) == _ORIENTATION:
      found = int.from_bytes(tiff[place + 8 : place + 10], order)
      return found if 1 <= found <= 8 else 1
  return 1


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
  upright = _upright(image, header.orientation)
  return upright.reshape(*upright.shape[:2], channels)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
  """Undoes an orientation of EXIF 2.3, section 4.6.4."""
  import cv2

  if orientation in (2, 3, 4):
    return cv2.flip(image, {2: 1, 3: -1, 4: 0}[orientation])
  if orientation in (5, 7):
    image = cv2.transpose(image)
    return image if orientation == 5 else cv2.flip(image, -1)
  if orientation == 6:
    return cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
  if orientation == 8:
    return cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
  return image
