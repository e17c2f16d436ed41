"""A parser for serialized tf.train.Example messages.

An Example is a protocol buffer (protobuf.dev/programming-guides/encoding) that
maps names to lists of bytes, integers or floats
(tensorflow/core/example/example.proto and feature.proto). Only the requested
features are parsed; the others are skipped by their lengths.
"""

from collections.abc import Collection, Iterator

# Wire types of fields.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Field numbers of Feature.
_BYTES_LIST, _INT64_LIST = 1, 3
_LONGEST_VARINT = 63  # bits before the last byte

Field = tuple[int, int, int, int]


def parse(
  record: bytes, names: Collection[str]
) -> dict[str, list[bytes] | list[int]]:
  """Parses some features of an Example.

  Args:
    record: a serialized Example.
    names: of the requested features, of bytes or integers.

  Returns:
    The values by name. Features that are missing or are floats are not
    included.

  Raises:
    ValueError: the record is not an Example.
  """
  wanted = {name.encode(): name for name in names}
  found = {}
  try:
    for start, stop in _messages(record, 0, len(record), 1):
      for entry in _messages(record, start, stop, 1):
        key, value = _entry(record, *entry)
        if key in wanted and value is not None:
          found[wanted[key]] = value
  except (IndexError, ValueError) as error:
    raise ValueError(
      f"a record of {len(record)} bytes is not a tf.train.Example: {error}"
    ) from None
  return found


def _entry(
  record: bytes, start: int, stop: int
) -> tuple[bytes, list[bytes] | list[int] | None]:
  """Name and values of one entry of the map."""
  key, value = b"", None
  for number, _, first, last in _fields(record, start, stop):
    if number == 1:
      key = record[first:last]
    elif number == 2:
      value = _values(record, first, last)
  return key, value


def _values(
  record: bytes, start: int, stop: int
) -> list[bytes] | list[int] | None:
  """The values of a Feature."""
  for number, _, first, last in _fields(record, start, stop):
    if number == _BYTES_LIST:
      return [record[i:j] for i, j in _messages(record, first, last, 1)]
    if number == _INT64_LIST:
      return list(_integers(record, first, last))
  return None


def _integers(record: bytes, start: int, stop: int) -> Iterator[int]:
  """The integers of an Int64List, packed or unpacked."""
  for number, wire, first, last in _fields(record, start, stop):
    if number == 1 and wire == _VARINT:
      yield _signed(first)
    elif number == 1 and wire == _BYTES:
      while first < last:
        value, first = _varint(record, first)
        yield _signed(value)


def _messages(
  record: bytes, start: int, stop: int, wanted: int
) -> Iterator[tuple[int, int]]:
  """The ranges of the length-delimited fields with this number."""
  for number, wire, first, last in _fields(record, start, stop):
    if number == wanted and wire == _BYTES:
      yield first, last


def _fields(record: bytes, start: int, stop: int) -> Iterator[Field]:
  """(number, wire type, first byte, one past the last) of each field.

  For a varint, `first` is its value.
  """
  while start < stop:
    tag, start = _varint(record, start)
    wire = tag & 7
    if wire == _VARINT:
      value, start = _varint(record, start)
      yield tag >> 3, wire, value, start
      continue
    if wire == _BYTES:
      size, start = _varint(record, start)
    elif wire in (_FIXED64, _FIXED32):
      size = 8 if wire == _FIXED64 else 4
    else:
      raise ValueError(f"a field of the wire type {wire} at byte {start}")
    if start + size > stop:
      raise ValueError(f"a field of {size} bytes at byte {start}")
    yield tag >> 3, wire, start, start + size
    start += size


def _varint(record: bytes, start: int) -> tuple[int, int]:
  """A number of seven bits per byte, and the offset after it."""
  byte = record[start]
  if byte < 0x80:
    return byte, start + 1
  value, shift = byte & 0x7F, 7
  while True:
    if shift > _LONGEST_VARINT:
      raise ValueError(f"a number of more than 64 bits at byte {start}")
    start += 1
    byte = record[start]
    value |= (byte & 0x7F) << shift
    if byte < 0x80:
      return value, start + 1
    shift += 7


def _signed(value: int) -> int:
  # Negative numbers are stored as unsigned 64-bit values.
  return value - (1 << 64) if value >> 63 else value
