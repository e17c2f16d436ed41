"""PNG files: parsing of chunks and decoding of the pixels.

A PNG is a list of chunks: a length, a type, the data and their CRC (PNG 1.2,
section 3). Only chunks with pixels are given to the codec. Therefore the result
does not depend on gamma, chromaticity or a colour profile, damaged metadata has
no effect, and text is decompressed only when needed.
"""

import dataclasses
import zlib

import numpy as np

from jaxvision.data.decoding import orientation, pixels, unreadable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EXIF, _PROFILE = b"eXIf", b"iCCP"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Names of text chunks; the first is ImageMagick's name for EXIF.
_RAW_EXIF, _XMP = b"Raw profile type exif", b"XML:com.adobe.xmp"
_LONGEST_TEXT = 2**20  # bytes, decompressed
_GREY, _GREY_ALPHA = 0, 4  # colour types
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
_DEFLATE = 1032  # the maximum compression ratio of deflate


@dataclasses.dataclass(frozen=True)
class Header:
  """The header of a file and its metadata.

  Attributes:
    height, width: of the stored pixels, before the orientation is applied.
    grey: whether the image has no colour channels.
    orientation: of EXIF, 1 to 8.
    whole: whether all chunks are present, with correct checksums.
    bare: the file without metadata.
    profile: the colour profile as stored; None if there is none.
  """

  height: int
  width: int
  grey: bool
  orientation: int
  whole: bool
  bare: bytes
  profile: bytes | None


def read_header(encoded: bytes) -> Header:
  """Reads the list of chunks.

  Raises:
    UnreadableImage: the file does not begin with a header.
  """
  if encoded[12:16] != b"IHDR" or len(encoded) < 33:
    raise unreadable.UnreadableImage("a PNG without a header, or truncated")
  kept, others, whole = _split(encoded)
  found = dict(others)
  return Header(
    height=int.from_bytes(encoded[20:24]),
    width=int.from_bytes(encoded[16:20]),
    grey=encoded[25] in (_GREY, _GREY_ALPHA),
    orientation=_orientation(others, found.get(_EXIF)),
    whole=whole,
    bare=SIGNATURE + b"".join(kept) if others else encoded,
    profile=found.get(_PROFILE),
  )


def check_length(encoded: bytes) -> None:
  """Checks that the file has enough bytes for its pixels.

  Raises:
    UnreadableImage: it has too few bytes, even at the maximum compression
      ratio.
  """
  width, height = (int.from_bytes(encoded[i : i + 4]) for i in (16, 20))
  bits = width * encoded[24] * _SAMPLES.get(encoded[25], 1)
  if height * -(-bits // 8) > _DEFLATE * len(encoded):
    raise unreadable.UnreadableImage(
      f"{len(encoded):,} bytes are too few for {width}x{height} pixels: the "
      "file is truncated or damaged"
    )


def _split(
  encoded: bytes,
) -> tuple[list[bytes], list[tuple[bytes, bytes]], bool]:
  """Returns ranges with pixels, other chunks, and whether all are complete."""
  kept, others, place, first, whole = [], [], 8, 8, True
  view = memoryview(encoded)
  while place + 12 <= len(encoded):
    kind = encoded[place + 4 : place + 8]
    end = place + 12 + int.from_bytes(encoded[place : place + 4])
    if end > len(encoded):
      break
    # A lower-case first letter marks chunks that a decoder may ignore,
    # including transparency.
    if kind[0] & 0x20:
      kept.append(encoded[first:place])
      others.append((kind, encoded[place + 8 : end - 4]))
      first = end
    # Checked here, because OpenCV prints errors without the file name. If the
    # type of a pixel chunk is damaged, it may look like another chunk.
    checksum = zlib.crc32(view[place + 4 : end - 4])
    whole = whole and checksum == int.from_bytes(view[end - 4 : end])
    if kind == b"IEND":
      return [*kept, encoded[first:end]], others, whole
    place = end
  return [*kept, encoded[first:]], others, False


def _orientation(others: list[tuple[bytes, bytes]], exif: bytes | None) -> int:
  texts = [each for kind, each in others if kind in _TEXTS]
  if exif is None and not texts:
    return orientation.UPRIGHT
  return orientation.read(exif=exif or _raw_exif(texts), xmp=_text(texts, _XMP))


def _raw_exif(texts: list[bytes]) -> bytes | None:
  """EXIF stored as hexadecimal digits after three lines."""
  found = _text(texts, _RAW_EXIF)
  try:
    return bytes.fromhex("".join((found or b"").decode().split("\n")[3:]))
  except ValueError:
    return None


def _text(texts: list[bytes], name: bytes) -> bytes | None:
  """The last text of a name, decompressed; None if there is none."""
  for each in reversed(texts):
    if each.startswith(name + b"\0"):
      return _content(each[len(name) + 1 :], international=name == _XMP)
  return None


def _content(text: bytes, *, international: bool) -> bytes:
  """A text without the fields before it.

  An iTXt chunk has a compression flag, the method and two names. A zTXt chunk
  has the method 0. A tEXt chunk never begins with 0.
  """
  compressed = text[:1] == (b"\1" if international else b"\0")
  if international:
    text = text[2:].split(b"\0", 2)[-1]
  elif compressed:
    text = text[1:]
  if not compressed:
    return text
  try:
    return zlib.decompressobj().decompress(text, _LONGEST_TEXT)
  except zlib.error:
    return b""


def decode(header: Header, *, channels: int) -> np.ndarray | None:
  """Decodes a complete file; None if OpenCV cannot.

  Returns:
    (h, w, channels) uint8, upright.
  """
  import cv2

  if not header.whole:
    return None
  colour = cv2.IMREAD_COLOR_RGB
  if header.grey and channels == 1:
    colour = cv2.IMREAD_GRAYSCALE
  content = np.frombuffer(header.bare, np.uint8)
  try:
    image = cv2.imdecode(content, colour | cv2.IMREAD_ANYDEPTH)
  except cv2.error:
    return None
  if image is None or image.dtype not in (np.uint8, np.uint16):
    return None
  return pixels.finish(
    pixels.to_8_bits(image), channels=channels, orientation=header.orientation
  )
