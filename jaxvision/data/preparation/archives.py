"""Files in tar archives, read without unpacking.

A file is a byte range of its archive, which many threads can read at the same
time. This needs an uncompressed archive, so a compressed archive is
decompressed once to a file.
"""

import array
import dataclasses
import gzip
import os
import pathlib
import shutil
import tarfile
from collections.abc import Iterable, Iterator

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.formats import byte_ranges, refusal, tar_groups

_GZIP = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class Member:
  """A file in an archive.

  Attributes:
    name: path in the archive.
    archive: path of the archive.
    offset: of the first byte in the archive.
    size: in bytes.
  """

  name: str
  archive: pathlib.Path
  offset: int
  size: int


def members(
  archive: pathlib.Path, *, inside: Member | None = None
) -> Iterator[Member]:
  """The regular files of a tar archive, in its order.

  Args:
    archive: not compressed.
    inside: a member that is itself an archive; its members are listed instead.

  Raises:
    ValueError: the file is not a tar archive, or is truncated.
  """
  start, end = 0, archive.stat().st_size
  if inside:
    start, end = inside.offset, inside.offset + inside.size
  part = f"{inside.name} in {archive}" if inside else str(archive)
  what = f"{part} is not a complete tar archive"
  with (
    refusal.naming(what, remedy="download it again"),
    archive.open("rb") as file,
  ):
    file.seek(start)
    with tarfile.TarFile(fileobj=file) as tar:
      before = -1
      while info := tar.next():
        tar_groups.check_member(info, after=tar.offset, before=before, end=end)
        before = tar.offset
        if info.isreg():
          yield Member(info.name, archive, info.offset_data, info.size)
        tar.members.clear()  # tarfile would keep all members in memory


def read(member: Member) -> bytes:
  """The content of a member.

  Raises:
    OSError: the archive cannot be read, or has become shorter.
  """
  with member.archive.open("rb") as file:
    content = os.pread(file.fileno(), member.size, member.offset)
  if len(content) < member.size:
    raise OSError(f"{member.archive} ends in the middle of {member.name}")
  return content


def decompressed(path: pathlib.Path, *, scratch: pathlib.Path) -> pathlib.Path:
  """Decompresses a gzip file; returns other files unchanged.

  Args:
    path: of any file.
    scratch: an existing folder for the decompressed file, which is reused if it
      exists.

  Raises:
    ValueError: the compressed file is damaged or truncated.
  """
  with path.open("rb") as file:
    if file.read(len(_GZIP)) != _GZIP:
      return path
  target = scratch / path.stem
  if target.exists():
    return target
  what = f"{path} cannot be decompressed"
  with refusal.naming(what, remedy="download it again"):
    try:
      with gzip.open(path) as packed, files.writing(target) as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    except gzip.BadGzipFile as error:  # an OSError, but not a disk error
      raise ValueError(str(error)) from error
  return target


def as_dataset(
  found: Iterable[tuple[Member, int]],
  *,
  name: str,
  split: str,
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  """A split of labelled image files in archives.

  `ids` are the names of the members.
  """
  numbers: dict[pathlib.Path, int] = {}
  names, rows = [], array.array("q")
  for member, label in found:
    names.append(member.name)
    file = numbers.setdefault(member.archive, len(numbers))
    rows.extend((file, member.offset, member.size, label))
  files, offsets, sizes, labels = np.array(rows, np.int64).reshape(-1, 4).T
  located = byte_ranges.Extents(
    paths=tuple(map(os.fspath, numbers)),
    files=files.astype(np.int32),
    offsets=offsets,
    sizes=sizes,
  )
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(names),
    ids=lambda indices: [names[index] for index in indices],
    labels=lambda: labels,
    read=lambda indices: list(
      zip(located.read(indices), labels[indices].tolist(), strict=True)
    ),
  )
