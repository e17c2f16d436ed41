"""Files of named arrays, mapped into memory: .npz and .safetensors.

Nothing is read before it is looked at, and `forget` gives back the memory of
what has been copied: a file of 4 GB loads in little more than 4 GB. bfloat16
that numpy stored as two raw bytes is bfloat16 here. Pickles are never read.

A .safetensors file is 8 bytes with the length of a JSON header, the header
{name: {dtype, shape, data_offsets}}, and the arrays one after the other. The
package of that name copies every array and cannot give its mapping back, so the
few lines that read and write it are here, and the package is their oracle.
"""

import dataclasses
import json
import math
import mmap
import pathlib
import struct
import zipfile
from collections.abc import Mapping

import ml_dtypes
import numpy as np

from jaxvision import files

_DTYPES = {
  "F64": np.dtype("<f8"),
  "F32": np.dtype("<f4"),
  "F16": np.dtype("<f2"),
  "BF16": np.dtype(ml_dtypes.bfloat16),
  "I64": np.dtype("<i8"),
  "I32": np.dtype("<i4"),
  "I16": np.dtype("<i2"),
  "I8": np.dtype("i1"),
  "U8": np.dtype("u1"),
  "BOOL": np.dtype("?"),
}
_NPZ_HEADER = 30  # bytes of a local header in a zip file, without its names


@dataclasses.dataclass(frozen=True)
class ArrayFile:
  """An open file.

  Attributes:
    path: where it lies.
    arrays: by name; views of the mapping, except for compressed ones.
    offsets: of the arrays that are views, in bytes.
    mapping: the file.
  """

  path: pathlib.Path
  arrays: dict[str, np.ndarray]
  offsets: dict[str, int]
  mapping: mmap.mmap

  def forget(self, name: str) -> None:
    """Gives back the memory that holds an array; it can be read again."""
    if name in self.offsets:
      start = self.offsets[name] // mmap.PAGESIZE * mmap.PAGESIZE
      end = self.offsets[name] + self.arrays[name].nbytes
      self.mapping.madvise(mmap.MADV_DONTNEED, start, end - start)


def open_file(path: pathlib.Path) -> ArrayFile:
  """Maps a file into memory.

  Raises:
    FileNotFoundError: there is none.
    ValueError: it is cut off, of another format, or has Python objects inside.
  """
  readers = {".npz": _npz, ".safetensors": _safetensors}
  if path.suffix not in readers:
    raise ValueError(
      f"{path} is neither .npz nor .safetensors. Weights in .pth, .bin or .h5 "
      "are not read: take the .safetensors of the same network, or convert "
      "with the library that wrote them"
    )
  with path.open("rb") as file:
    if not file.read(1):
      raise ValueError(f"{path} is empty: fetch it again")
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  arrays, offsets = readers[path.suffix](path, mapping)
  return ArrayFile(path, arrays, offsets, mapping)


def _npz(
  path: pathlib.Path, mapping: mmap.mmap
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
  arrays, offsets = {}, {}
  try:
    with zipfile.ZipFile(path) as archive:
      for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
          shape, fortran, dtype = _npy_header(member)
          start = member.tell()
          if info.compress_type != zipfile.ZIP_STORED:
            array = np.frombuffer(member.read(), dtype)
          else:
            offsets[name] = start + _data_offset(mapping, info)
            array = np.frombuffer(
              mapping, dtype, math.prod(shape), offsets[name]
            )
        array = array.reshape(shape, order="F" if fortran else "C")
        raw = array.dtype == np.dtype("V2")
        arrays[name] = array.view(ml_dtypes.bfloat16) if raw else array
  except (zipfile.BadZipFile, EOFError, struct.error) as error:
    raise ValueError(
      f"{path} is not a whole .npz file ({error}): it may be cut off; fetch it "
      "again"
    ) from error
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error
  return arrays, offsets


def _npy_header(member) -> tuple[tuple[int, ...], bool, np.dtype]:
  version = np.lib.format.read_magic(member)
  read = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }[version]
  shape, fortran, dtype = read(member)
  if dtype.hasobject:
    raise ValueError("it holds Python objects (a pickle), which are not read")
  return shape, fortran, dtype


def _data_offset(mapping: mmap.mmap, info: zipfile.ZipInfo) -> int:
  """Returns where the content of a member begins."""
  start = info.header_offset
  names, extra = struct.unpack("<HH", mapping[start + 26 : start + 30])
  return start + _NPZ_HEADER + names + extra


def _safetensors(
  path: pathlib.Path, mapping: mmap.mmap
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
  try:
    (length,) = struct.unpack("<Q", mapping[:8])
    header = json.loads(mapping[8 : 8 + length])
  except (struct.error, ValueError) as error:
    raise ValueError(
      f"{path} is not a .safetensors file, or cut off: fetch it again"
    ) from error
  header.pop("__metadata__", None)
  ends = [entry["data_offsets"][1] for entry in header.values()]
  end = 8 + length + max(ends, default=0)
  if end != len(mapping):
    raise ValueError(
      f"{path} has {len(mapping):,} bytes, and its header says {end:,}: it is "
      "cut off or damaged; fetch it again"
    )
  arrays, offsets = {}, {}
  for name, entry in header.items():
    if entry["dtype"] not in _DTYPES:
      raise ValueError(
        f"{path}: {name} is of type {entry['dtype']}; read are "
        f"{', '.join(_DTYPES)}"
      )
    shape, dtype = entry["shape"], _DTYPES[entry["dtype"]]
    offsets[name] = 8 + length + entry["data_offsets"][0]
    count = math.prod(shape)
    flat = np.frombuffer(mapping, dtype, count, offsets[name])
    arrays[name] = flat.reshape(shape)
  return arrays, offsets


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays as .npz or .safetensors, by the ending of the path.

  Raises:
    ValueError: another ending.
  """
  if path.suffix not in (".npz", ".safetensors"):
    raise ValueError(f"{path}: weights are written as .npz or .safetensors")
  with files.writing(path) as file:
    if path.suffix == ".npz":
      np.savez(file, **arrays)
    else:
      _write_safetensors(file, arrays)


def _write_safetensors(file, arrays: Mapping[str, np.ndarray]) -> None:
  names = {dtype: name for name, dtype in _DTYPES.items()}
  header, end = {"__metadata__": {"format": "pt"}}, 0
  for name, array in arrays.items():
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
