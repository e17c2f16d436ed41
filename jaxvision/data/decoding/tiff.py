"""Directories of TIFF files and of EXIF.

A directory is a list of entries: a tag, a type, a count, and the values or, if
they are longer, their offset (TIFF 6.0, section 2). BigTIFF has the same
structure with 64-bit numbers. Damaged entries are skipped and never raise an
error.
"""

import dataclasses
import struct

WIDTH, HEIGHT, PHOTOMETRIC = 256, 257, 262
BITS, ORIENTATION, XMP = 258, 274, 700
SAMPLES, SAMPLE_FORMAT = 277, 339
SIGNED = 2  # a value of SAMPLE_FORMAT
_STRIP_PLACES, _ROWS_PER_STRIP, _PLANES = 273, 278, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_PLACES = 322, 323, 324
_TOGETHER = 1  # all samples of a pixel in one plane

# Type -> letter of `struct`.
_NUMBERS = {
  3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q",
  17: "q", 18: "Q",
}  # fmt: skip
_RATIONALS = {5: "II", 10: "ii"}
_BYTES = (1, 2, 7)
# The tags that define how the pixels are stored (TIFF 6.0, and its technical
# notes on JPEG, LERC and associated alpha).
_OF_PIXELS = frozenset(
  (254, 255, *range(256, 260), 262, 263, 264, 265, 266, 273, 277, 278, 279, 284,
   290, 291, 292, 293, 317, *range(320, 326), 332, 334, 336, 338, 339, 340, 341,
   347, *range(512, 522), 529, 530, 531, 532, 34925, 50674)
)  # fmt: skip
_MOST = 4096  # entries


@dataclasses.dataclass(frozen=True)
class Directory:
  """The first directory of a file.

  Attributes:
    order: byte order, "<" or ">".
    big: whether the file is a BigTIFF.
    entries: tag -> (the bytes of the entry, type, values).
  """

  order: str
  big: bool
  entries: dict[int, tuple[bytes, int, bytes]]

  def number(self, tag: int) -> float | None:
    """The first value; None if it is missing or is not a number."""
    _, kind, values = self.entries.get(tag, (b"", 0, b""))
    letters = _NUMBERS.get(kind) or _RATIONALS.get(kind)
    if letters is None or len(values) < struct.calcsize(f"={letters}"):
      return None
    found = struct.unpack_from(self.order + letters, values)
    if kind in _RATIONALS:
      return found[0] / found[1] if found[1] else None
    return found[0]

  def text(self, tag: int) -> bytes | None:
    """The values as bytes; None if the tag is missing."""
    return self.entries[tag][2] if tag in self.entries else None


def read(content: bytes) -> Directory | None:
  """The first directory; None if the content is no TIFF or has none."""
  order = {b"II": "<", b"MM": ">"}.get(content[:2])
  if order is None or len(content) < 8:
    return None
  big = 43 in content[2:4]
  if big and len(content) < 16:
    return None
  (first,) = struct.unpack_from(
    order + ("Q" if big else "I"), content, 8 if big else 4
  )
  length, head = (20, "Q") if big else (12, "H")
  start = first + struct.calcsize(f"={head}")
  if start > len(content):
    return None
  (count,) = struct.unpack_from(order + head, content, first)
  last = min(len(content) - length, start + length * (min(count, _MOST) - 1))
  entries = {}
  for place in range(start, last + 1, length):
    raw = content[place : place + length]
    tag, kind = struct.unpack_from(f"{order}HH", raw)
    values = _values(content, raw, order, kind, big)
    if values is not None:
      entries[tag] = raw, kind, values
  return Directory(order, big, entries)


def _values(
  content: bytes, raw: bytes, order: str, kind: int, big: bool
) -> bytes | None:
  """The values of an entry; None if they are outside of the file."""
  letters = _NUMBERS.get(kind) or _RATIONALS.get(kind)
  if letters is None and kind not in _BYTES:
    return None
  size = 1 if letters is None else struct.calcsize(f"={letters}")
  word = "Q" if big else "I"
  count, place = struct.unpack_from(f"{order}{word}{word}", raw, 4)
  inline = raw[12:] if big else raw[8:]
  if size * count <= len(inline):
    return inline[: size * count]
  if place + size * count > len(content):
    return None
  return content[place : place + size * count]


def parts(directory: Directory) -> tuple[int, int]:
  """(number of strips or tiles in the file, number that the size needs)."""

  def number(tag: int, default: int) -> int:
    return int(directory.number(tag) or default)

  height, width = number(HEIGHT, 0), number(WIDTH, 0)
  places = _TILE_PLACES if _TILE_PLACES in directory.entries else _STRIP_PLACES
  if places == _TILE_PLACES:
    across = -(-width // number(_TILE_WIDTH, width or 1))
    needed = across * -(-height // number(_TILE_HEIGHT, height or 1))
  else:
    needed = -(-height // number(_ROWS_PER_STRIP, height or 1))
  if number(_PLANES, _TOGETHER) != _TOGETHER:
    needed *= number(SAMPLES, 1)
  _, kind, values = directory.entries.get(places, (b"", 4, b""))
  return len(values) // struct.calcsize(f"={_NUMBERS.get(kind, 'I')}"), needed


def without_metadata(content: bytes, directory: Directory) -> bytes:
  """The same file with a directory that has only the tags for the pixels.

  Other images and directories become unreachable. The new directory is appended
  to the file, so that the offsets in its entries stay valid.
  """
  order, big = directory.order, directory.big
  kept = sorted(tag for tag in directory.entries if tag in _OF_PIXELS)
  head, word = ("Q", "Q") if big else ("H", "I")
  place = len(content) + len(content) % 2
  pointer = struct.pack(order + word, place)
  at = 8 if big else 4
  return b"".join(
    (
      content[:at],
      pointer,
      content[at + len(pointer) :],
      bytes(len(content) % 2),
      struct.pack(order + head, len(kept)),
      *(directory.entries[tag][0] for tag in kept),
      bytes(struct.calcsize(f"={word}")),
    )
  )
