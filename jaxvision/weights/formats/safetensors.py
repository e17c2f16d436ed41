"""The format .safetensors of Hugging Face.

A file has 8 bytes with the length of a JSON header, the header {name: {dtype,
shape, data_offsets}}, and the arrays in sequence. The package safetensors
copies each array and cannot release its mapping, so this file reads and writes
the format itself. The tests use the package as the oracle: files that it
refuses are refused here.
"""

import functools
import json
import math
import mmap
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from jaxvision.weights.formats import array_file
from jaxvision.weights.formats.array_file import ArrayFile, Entry

DTYPES = {
  "F64": np.dtype("<f8"),
  "F32": np.dtype("<f4"),
  "F16": np.dtype("<f2"),
  "BF16": np.dtype(ml_dtypes.bfloat16),
  "I64": np.dtype("<i8"),
  "I32": np.dtype("<i4"),
  "I16": np.dtype("<i2"),
  "I8": np.dtype("i1"),
  "U64": np.dtype("<u8"),
  "U32": np.dtype("<u4"),
  "U16": np.dtype("<u2"),
  "U8": np.dtype("u1"),
  "BOOL": np.dtype("?"),
}
_METADATA = "__metadata__"
_FIELDS = ("dtype", "shape", "data_offsets")
_LARGEST_HEADER = 100_000_000  # bytes; the package has the same two limits
_DEEPEST = 127  # nested brackets
_LARGEST = 1 << 64


def read(path: pathlib.Path, mapping: mmap.mmap) -> ArrayFile:
  """Returns the arrays of a mapped file; its metadata are notes.

  Raises:
    Exception: the file is damaged; the type varies.
  """
  header, start = _header(mapping)
  notes = _metadata(header.pop(_METADATA, None))
  end = 0
  entries = {name: _Described(name, entry) for name, entry in header.items()}
  for each in sorted(entries.values(), key=lambda each: each.offsets):
    each.check(end)
    end = each.offsets[1]
  if start + end != len(mapping):
    raise ValueError(
      f"it has {len(mapping):,} bytes, but its header states {start + end:,}"
    )
  return ArrayFile(
    path,
    {name: each.entry(mapping, start) for name, each in entries.items()},
    notes,
  )


def _header(mapping: mmap.mmap) -> tuple[dict[str, Any], int]:
  """Returns the header, and the offset of the arrays."""
  if len(mapping) < 8:
    raise ValueError(f"it has {len(mapping)} bytes; its header is missing")
  (length,) = struct.unpack_from("<Q", mapping)
  if length > min(_LARGEST_HEADER, len(mapping) - 8):
    raise ValueError(
      f"its header should have {length:,} bytes, but the file has "
      f"{len(mapping) - 8:,}; at most {_LARGEST_HEADER:,} are allowed"
    )
  text = mapping[8 : 8 + length].decode("utf-8")
  header = json.loads(
    text,
    object_pairs_hook=_unique,
    parse_constant=_no_number,
    parse_float=_finite,
    parse_int=_integer,
  )
  if not isinstance(header, dict):
    raise ValueError("its header is not a JSON object")
  _check_depth(header)
  return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) != len(pairs):
    names = [name for name, _ in pairs]
    double = next(name for name in found if names.count(name) > 1)
    raise ValueError(f"its header has {double!r} twice")
  for name in found:
    name.encode()  # raises for half a character
  return found


def _no_number(text: str) -> None:
  raise ValueError(f"its header has {text}, which is not JSON")


def _finite(text: str) -> float:
  if not math.isfinite(float(text)):
    raise ValueError(f"its header has the number {text}")
  return float(text)


def _integer(text: str) -> int | float:
  """-0 is not a natural number, so it is read as a float."""
  return -0.0 if text == "-0" else int(text)


def _check_depth(value: Any) -> None:
  layer, depth = [value], 0
  while layer:
    depth += 1
    if depth > _DEEPEST:
      raise ValueError(f"its header has more than {_DEEPEST} nested brackets")
    inner = (v.values() if isinstance(v, dict) else v for v in layer)
    layer = [
      each
      for values in inner
      for each in values
      if isinstance(each, dict | list)
    ]


def _metadata(value: Any) -> dict[str, str]:
  if value is None:
    return {}
  if not isinstance(value, dict) or not all(
    isinstance(text, str) for text in value.values()
  ):
    raise ValueError(f"{_METADATA} in its header is not an object of texts")
  "".join(value.values()).encode()
  return value


class _Described:
  """The description of an array in the header."""

  def __init__(self, name: str, entry: Any):
    if not isinstance(entry, dict) or any(f not in entry for f in _FIELDS):
      raise ValueError(f"{name} in its header lacks one of {list(_FIELDS)}")
    self.name = name
    self.shape = _naturals(name, entry["shape"])
    self.offsets = _naturals(name, entry["data_offsets"])
    if len(self.offsets) != 2:
      raise ValueError(f"{name} has {len(self.offsets)} offsets instead of 2")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
      raise ValueError(
        f"{name} has the type {entry['dtype']}; expected {', '.join(DTYPES)}"
      )
    self.dtype = DTYPES[entry["dtype"]]

  def check(self, expected: int) -> None:
    """Raises ValueError unless it starts at `expected` and has its size."""
    start, end = self.offsets
    if start != expected or end < start:
      raise ValueError(
        f"{self.name} is at {start:,} to {end:,}, but should start at "
        f"{expected:,}, the end of the array before it"
      )
    size = self.dtype.itemsize
    for length in self.shape:
      size *= length
      if 8 * size >= _LARGEST:  # bits, for each partial product
        raise ValueError(f"{self.name} has the shape {list(self.shape)}")
    if end - start != size:
      raise ValueError(
        f"{self.name} has {end - start:,} bytes, but its type and shape "
        f"{list(self.shape)} need {size:,}"
      )

  def entry(self, mapping: mmap.mmap, start: int) -> Entry:
    """Returns the entry of the array; the arrays start at `start`."""
    offset = start + self.offsets[0]
    length = self.offsets[1] - self.offsets[0]
    shape, dtype = self.shape, self.dtype
    return Entry(
      shape,
      dtype,
      read=lambda: array_file.view(mapping, offset, shape, dtype),
      check=array_file.nothing,  # the format has no checksums
      forget=functools.partial(array_file.forget, mapping, offset, length),
    )


def _naturals(name: str, values: Any) -> tuple[int, ...]:
  if not isinstance(values, list) or not all(
    type(each) is int and 0 <= each < _LARGEST for each in values
  ):
    raise ValueError(f"{name} has {values!r:.80} instead of natural numbers")
  return tuple(values)


def write(
  file, arrays: Mapping[str, np.ndarray], *, metadata: Mapping[str, str]
) -> None:
  """Writes arrays and metadata.

  Raises:
    ValueError: an array has a type that the format does not support.
  """
  names = {dtype: name for name, dtype in DTYPES.items()}
  header: dict[str, Any] = {_METADATA: dict(metadata)}
  end = 0
  for name, array in arrays.items():
    if array.dtype not in names:
      raise ValueError(
        f"{name} has the type {array.dtype}; expected {', '.join(DTYPES)}"
      )
    header[name] = {
      "dtype": names[array.dtype],
      "shape": list(array.shape),
      "data_offsets": [end, end + array.nbytes],
    }
    end += array.nbytes
  text = json.dumps(header).encode()
  text += b" " * (-len(text) % 8)
  file.write(struct.pack("<Q", len(text)) + text)
  for array in arrays.values():
    file.write(np.ascontiguousarray(array).tobytes())
