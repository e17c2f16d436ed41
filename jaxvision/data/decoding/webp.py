"""WebP files: the metadata before the pixels.

A WebP is a RIFF file: chunks of a name, a length and data, padded to an even
number of bytes (developers.google.com/speed/webp/docs/riff_container).
"""

import dataclasses

from jaxvision.data.decoding import orientation

_FEATURES = b"VP8X"


@dataclasses.dataclass(frozen=True)
class Header:
  """The header of a file.

  Attributes:
    height, width: of the stored canvas; 0 if no chunk has them.
    orientation: of EXIF, 1 to 8.
  """

  height: int
  width: int
  orientation: int


def read_header(encoded: bytes) -> Header:
  """Reads the list of chunks."""
  found = chunks(encoded)
  height, width = _size(found)
  return Header(
    height,
    width,
    orientation.read(exif=found.get(b"EXIF"), xmp=found.get(b"XMP ")),
  )


def chunks(encoded: bytes) -> dict[bytes, bytes]:
  """Name -> data of the first chunk of each name."""
  found, place = {}, 12
  while place + 8 <= len(encoded):
    name = encoded[place : place + 4]
    size = int.from_bytes(encoded[place + 4 : place + 8], "little")
    content = encoded[place + 8 : place + 8 + size]
    found.setdefault(name, content)
    place += 8 + size + size % 2
  return found


def _size(found: dict[bytes, bytes]) -> tuple[int, int]:
  """(height, width) of the canvas, or of a file with one image."""
  if len(features := found.get(_FEATURES, b"")) >= 10:
    width, height = (
      int.from_bytes(features[at : at + 3], "little") + 1 for at in (4, 7)
    )
    return height, width
  if len(lossless := found.get(b"VP8L", b"")) >= 5:
    bits = int.from_bytes(lossless[1:5], "little")
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
  if len(lossy := found.get(b"VP8 ", b"")) >= 10:
    width, height = (
      int.from_bytes(lossy[at : at + 2], "little") & 0x3FFF for at in (6, 8)
    )
    return height, width
  return 0, 0
