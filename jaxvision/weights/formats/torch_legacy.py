"""The form of torch's files before version 1.6: pickles, then storages.

A file has five pickles: a magic number, the number of the protocol, facts of
the machine, the value, and the list of the keys of its storages. Then each
storage follows: the number of its elements (int64), and their bytes.
"""

import mmap
import struct
from typing import Any

from jaxvision.weights.formats import pickles, torch_objects
from jaxvision.weights.formats.array_file import Refused, nothing
from jaxvision.weights.formats.stack_machine import simple
from jaxvision.weights.formats.torch_tensors import Row, Storage

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read(mapping: mmap.mmap) -> tuple[Any, dict[str, Row]]:
  """Returns the value of a file, and its storages by their key.

  Raises:
    Exception: the file is damaged or not supported; the type varies.
  """
  storages = torch_objects.Storages()
  content = memoryview(mapping)
  position = _check_start(content)
  value, length = pickles.load(
    content[position:],
    callees=torch_objects.CALLEES,
    persistent=storages.resolve,
  )
  keys, position = _plain(content, position + length)
  if type(keys) is not list or len(keys) != len(storages.rows):
    raise ValueError("the list of its storages is not that of its tensors")
  if set(map(simple, keys)) != storages.rows.keys():
    raise ValueError("the list of its storages is not that of its tensors")
  rows = {}
  for key in keys:
    rows[key] = _row(mapping, position, storages.rows[key])
    position = rows[key].start + rows[key].size
  return value, rows


def _check_start(content: memoryview) -> int:
  """Returns the position of the value.

  Raises:
    ValueError: this is another form, or not little-endian.
  """
  magic, position = _plain(content, 0)
  if type(magic) is not int or magic != _MAGIC:
    raise ValueError("it is a pickle, but not one that torch.save wrote")
  protocol, position = _plain(content, position)
  if type(protocol) is not int or protocol != _PROTOCOL:
    raise ValueError("its protocol is unknown")
  machine, position = _plain(content, position)
  if type(machine) is not dict or machine.get("little_endian") is not True:
    raise Refused(
      "it is not little-endian, which is not supported. Load it with torch and "
      "save it again on another machine"
    )
  return position


def _plain(content: memoryview, position: int) -> tuple[Any, int]:
  """Returns the value of a pickle without objects, and its end."""
  value, length = pickles.load(
    content[position:], callees={}, persistent=_no_storage
  )
  return value, position + length


def _no_storage(identifier: Any) -> None:
  raise ValueError("its header refers to a storage")


def _row(mapping: mmap.mmap, position: int, storage: Storage) -> Row:
  if position + 8 > len(mapping):
    raise ValueError(f"its storage {storage.key:.80} is missing")
  (size,) = struct.unpack_from("<q", mapping, position)
  if size != storage.size:
    raise ValueError(
      f"its storage {storage.key:.80} has {size:,} elements; expected "
      f"{storage.size:,}"
    )
  start = position + 8
  if start + storage.nbytes > len(mapping):
    raise ValueError(
      f"its storage {storage.key:.80} ends after the end of the file"
    )
  return Row(lambda: mapping, start, storage.nbytes, True, nothing)
