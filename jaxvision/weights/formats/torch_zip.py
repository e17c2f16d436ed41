"""The zip form of torch's files, which torch writes since version 1.6.

A file has the members NAME/data.pkl, a pickle, and NAME/data/KEY, the bytes of
each storage. Members are stored without compression, so storages are views of
the mapped file. Compressed members, which other programs write, are
decompressed once.
"""

import functools
import mmap
import pathlib
import zipfile
from typing import Any

from jaxvision.weights.formats import pickles, torch_objects, zip_members
from jaxvision.weights.formats.array_file import Refused, nothing
from jaxvision.weights.formats.torch_tensors import Row, Storage

_PICKLE = "data.pkl"
_LARGEST_PICKLE = 1 << 26  # bytes
_LARGEST_TEXT = 100  # bytes of the members that are a word
_NEWEST_VERSION = 10


def read(path: pathlib.Path, mapping: mmap.mmap) -> tuple[Any, dict[str, Row]]:
  """Returns the value of a file, and its storages by their key.

  Raises:
    Exception: the file is damaged or not supported; the type varies.
  """
  zip_members.check_directory(mapping)
  archive = _Archive(path, mapping)
  archive.check_kind()
  storages = torch_objects.Storages()
  content = archive.row(_PICKLE, largest=_LARGEST_PICKLE)
  content.check()
  value, _ = pickles.load(
    memoryview(content.buffer())[content.start : content.start + content.size],
    callees=torch_objects.CALLEES,
    persistent=storages.resolve,
  )
  rows = {}
  for key, storage in storages.rows.items():
    rows[key] = archive.storage(storage)
  return value, rows


class _Archive:
  """The members of a file by their names without the folder."""

  def __init__(self, path: pathlib.Path, mapping: mmap.mmap):
    self._path = path
    self._mapping = mapping
    with zipfile.ZipFile(path) as archive:
      members = zip_members.listed(
        archive, size=len(mapping), remedy="torch.save"
      )
    self._folder = _folder([info.filename for info in members])
    self._members = {}
    for info in members:
      name = info.filename.removeprefix(self._folder)
      if name in self._members:
        raise ValueError(f"two members have the name {name}")
      self._members[name] = info

  def check_kind(self) -> None:
    """Raises ValueError unless it has a pickle of little-endian tensors."""
    if any(
      n == "constants.pkl" or n.startswith("code/") for n in self._members
    ):
      raise Refused(
        "it is a TorchScript archive, which has code. A file with the tensors "
        "only can be read: in Python, torch.save(torch.jit.load(FILE)"
        ".state_dict(), OTHER)"
      )
    order = self._word("byteorder", "little")
    if order != "little":
      raise Refused(
        f"its byte order is {order:.20}; only little-endian is supported. Load "
        "it with torch and save it again on another machine"
      )
    version = self._word("version", "3")
    if not version.isdecimal() or not 1 <= int(version) <= _NEWEST_VERSION:
      raise ValueError(
        f"its version is {version:.20}; expected 1 to {_NEWEST_VERSION}"
      )

  def _word(self, name: str, default: str) -> str:
    if name not in self._members:
      return default
    row = self.row(name, largest=_LARGEST_TEXT)
    text = bytes(row.buffer()[row.start : row.start + row.size])
    return text.decode("ascii").strip()

  def storage(self, storage: Storage) -> Row:
    """Returns the row of a storage.

    Raises:
      ValueError: the file does not have all of it.
    """
    row = self.row(f"data/{storage.key}")
    if row.size < storage.nbytes:
      raise ValueError(
        f"its storage {storage.key:.80} has {row.size:,} bytes; expected "
        f"{storage.nbytes:,}"
      )
    return row

  def row(self, name: str, *, largest: int | None = None) -> Row:
    """Returns the content of a member.

    Raises:
      ValueError: the member is missing, damaged or larger than `largest` bytes.
    """
    info = self._members.get(name)
    if info is None:
      raise ValueError(f"its member {name:.80} is missing")
    if largest is not None and info.file_size > largest:
      raise ValueError(
        f"its member {name} has {info.file_size:,} bytes; at most {largest:,} "
        "are allowed"
      )
    if zip_members.is_stored(info):
      start = zip_members.data_offset(self._mapping, info, name)
      # torch can write files without checksums, which are 0 then.
      check = functools.partial(
        zip_members.check_sum, self._mapping, start, info, name
      )
      return Row(
        lambda: self._mapping,
        start,
        info.file_size,
        True,
        functools.cache(check) if info.CRC else nothing,
      )
    zip_members.check_deflated(info, name)
    read = functools.partial(zip_members.inflated, self._path, info, name)
    check = functools.partial(
      zip_members.check_inflated, self._path, info, name
    )
    return Row(
      functools.cache(read), 0, info.file_size, False, functools.cache(check)
    )


def _folder(names: list[str]) -> str:
  """Returns the folder of all members, with a slash at the end."""
  found = [name for name in names if name.endswith(f"/{_PICKLE}")]
  if len(found) != 1:
    raise ValueError(
      f"it has {len(found)} members {_PICKLE}; a file of torch has one"
    )
  return found[0].removesuffix(_PICKLE)
