"""Files of torch, written by hand: their pickles from single instructions.

The standard module pickle cannot write most of what hostile files contain, and
torch is not installed. A pickle is the bytes of its instructions; the names of
the functions are those of the values that they build.
"""

import io
import pickle
import struct
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {
  "float32": "FloatStorage",
  "float16": "HalfStorage",
  "bfloat16": "BFloat16Storage",
  "float64": "DoubleStorage",
  "int64": "LongStorage",
  "int32": "IntStorage",
  "int16": "ShortStorage",
  "int8": "CharStorage",
  "uint8": "ByteStorage",
  "bool": "BoolStorage",
}


def text(value: str) -> bytes:
  content = value.encode()
  return b"X" + struct.pack("<L", len(content)) + content


def integer(value: int) -> bytes:
  if -(1 << 31) <= value < 1 << 31:
    return b"J" + struct.pack("<i", value)
  content = value.to_bytes(16, "little", signed=True)
  return b"\x8a\x10" + content


def tuple_(*values: bytes) -> bytes:
  return b"(" + b"".join(values) + b"t"


def integers(*values: int) -> bytes:
  return tuple_(*map(integer, values))


def dict_(items: dict[str, bytes]) -> bytes:
  inside = b"".join(text(key) + value for key, value in items.items())
  return b"}(" + inside + b"u"


def named(name: str) -> bytes:
  module, _, attribute = name.rpartition(".")
  return f"c{module}\n{attribute}\n".encode()


def called(name: str, *arguments: bytes) -> bytes:
  return named(name) + tuple_(*arguments) + b"R"


def storage(
  key: str, size: int, kind: str = "FloatStorage", view: bytes = b""
) -> bytes:
  """A reference to a storage, with a view as in old files if there is one."""
  parts = (text("storage"), named(f"torch.{kind}"), text(key), text("cpu"))
  return tuple_(*parts, integer(size), view) + b"Q"


def tensor(
  of: bytes,
  shape: tuple[int, ...],
  strides: tuple[int, ...],
  offset: int = 0,
  more: bytes = b"",
) -> bytes:
  return called(
    "torch._utils._rebuild_tensor_v2",
    *(of, integer(offset), integers(*shape), integers(*strides)),
    *(b"\x89", called("collections.OrderedDict"), more),
  )


def of_array(key: str, array: np.ndarray) -> bytes:
  """A tensor with its own storage."""
  strides = (
    np.empty(array.shape, array.dtype).strides if array.size else array.shape
  )
  steps = tuple(
    each // array.dtype.itemsize if array.size else 1 for each in strides
  )
  kind = KINDS[array.dtype.name]
  return tensor(storage(key, array.size, kind), array.shape, steps)


def pickled(value: bytes, protocol: int = 2) -> bytes:
  return b"\x80" + bytes([protocol]) + value + b"."


def zipped(
  value: bytes,
  storages: dict[str, bytes] | None = None,
  *,
  folder: str = "archive",
  more: dict[str, bytes] | None = None,
  compression: int = zipfile.ZIP_STORED,
) -> bytes:
  """The zip form of a file.

  Args:
    value: instructions of the value.
    storages: {key: bytes}.
    folder: folder of all members.
    more: {name in the folder: content} of other members.
    compression: of all members.
  """
  members = {
    "data.pkl": pickled(value),
    "byteorder": b"little",
    "version": b"3\n",
    **{f"data/{key}": each for key, each in (storages or {}).items()},
    **(more or {}),
  }
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, "w", compression) as archive:
    for name, content in members.items():
      archive.writestr(f"{folder}/{name}", content)
  return stream.getvalue()


def legacy(
  value: bytes,
  storages: dict[str, tuple[int, bytes]] | None = None,
  *,
  magic: int = MAGIC,
  protocol: int = 1001,
  little: bool = True,
  keys: list[str] | None = None,
) -> bytes:
  """The form before version 1.6.

  Args:
    value: instructions of the value.
    storages: {key: (number of elements, bytes)}.
    magic, protocol, little: the header.
    keys: the list of keys; None for that of the storages.
  """
  storages = storages or {}
  facts = {"protocol_version": 1001, "little_endian": little, "type_sizes": {}}
  listed = list(storages) if keys is None else keys
  header = [pickle.dumps(each, 2) for each in (magic, protocol, facts)]
  rows = (struct.pack("<q", n) + each for n, each in storages.values())
  return b"".join((*header, pickled(value), pickle.dumps(listed, 2), *rows))


def saved(
  arrays: dict[str, np.ndarray],
  *,
  form: str = "zip",
  around: tuple[str, ...] = (),
  **options,
) -> bytes:
  """A file with arrays, in nested dicts with the names `around`."""
  value = dict_(
    {n: of_array(str(i), a) for i, (n, a) in enumerate(arrays.items())}
  )
  for name in reversed(around):
    value = dict_({name: value})
  contents = [np.ascontiguousarray(a) for a in arrays.values()]
  if form == "zip":
    rows = {str(i): a.tobytes() for i, a in enumerate(contents)}
    return zipped(value, rows, **options)
  rows = {str(i): (a.size, a.tobytes()) for i, a in enumerate(contents)}
  return legacy(value, rows, **options)
