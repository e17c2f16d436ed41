"""Files that are written whole, read with words, and named in one way.

A file is written as NAME.part, brought to the disk, and then renamed: a reader
sees the old content or the new one, also after a power cut. JSON is strict: NaN
and the infinities, which JSON does not have, are written as null.

Standard library only.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import pathlib
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from typing import IO, Any

Path = pathlib.Path
StrPath = str | os.PathLike[str]

_LARGEST_JSON = 1 << 30  # bytes
_KINDS = {dict: "an object {...}", list: "a list [...]"}
_SURROGATES = re.compile("[\ud800-\udfff]")
# What JSON may hold, and a terminal obeys or hides.
_RAW = re.compile(
  "[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
# Format characters that ordinary words and emoji need: joiners, soft hyphen.
_KEPT = "\u00ad\u200c\u200d"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def writing(path: StrPath, *, mode: int | None = None) -> Iterator[IO[bytes]]:
  """Gives a file to write; it replaces `path` when the block ends well.

  Several processes or threads may write one path: each writes it whole, one
  after the other. A link is followed.

  Args:
    path: in a folder that exists.
    mode: permissions, such as 0o600; None are those that the file has had, or
      those of any new file.

  Raises:
    OSError: the file cannot be written, or is a device, pipe or socket. What
      was there before is still there.
  """
  path = Path(os.path.realpath(path))
  with contextlib.suppress(FileNotFoundError):
    before = path.stat().st_mode
    _check_regular(before, path)
    mode = stat.S_IMODE(before) if mode is None else mode
  part = path.with_name(path.name + ".part")
  with _locked_part(part) as file:
    try:
      if mode is not None:
        os.fchmod(file.fileno(), mode)
      file.truncate(0)
      yield file
      file.flush()
      os.fsync(file.fileno())
      part.replace(path)
    except BaseException as error:
      part.unlink(missing_ok=True)
      if isinstance(error, OSError) and error.errno:
        error.filename = error.filename or str(path)
      raise
  _sync_folder(path.parent)


def write_bytes(
  path: StrPath, content: bytes, *, mode: int | None = None
) -> None:
  """Writes a file whole or not at all; see `writing`."""
  with writing(path, mode=mode) as file:
    file.write(content)


def write_text(path: StrPath, text: str, *, mode: int | None = None) -> None:
  r"""Writes UTF-8 whole or not at all; bytes of no character become `\xff`."""
  write_bytes(path, _SURROGATES.sub(_escaped, text).encode(), mode=mode)


def write_json(
  path: StrPath,
  value: Any,
  *,
  default: Callable[[Any], Any] | None = None,
  mode: int | None = None,
) -> None:
  """Writes strict JSON whole or not at all; see `to_json`."""
  text = to_json(value, indent=1, default=default)
  write_bytes(path, f"{text}\n".encode(), mode=mode)


def to_json(
  value: Any,
  *,
  indent: int | None = None,
  default: Callable[[Any], Any] | None = None,
) -> str:
  r"""Strict JSON: NaN and the infinities are null, everywhere.

  Control characters, and bytes of no character (`os.fsdecode`), are written as
  `\u001b` and `\udcff`, which `json.loads` gives back.

  Args:
    value: of dicts, lists, tuples, text, numbers, booleans and None.
    indent: spaces of each level; None is one line.
    default: makes something else of what JSON cannot hold.

  Raises:
    TypeError: JSON cannot hold it, and there is no `default`.
  """
  text = json.dumps(
    _finite(value, default), indent=indent, ensure_ascii=False, allow_nan=False
  )
  return _RAW.sub(lambda each: rf"\u{ord(each[0]):04x}", text)


def read_json(path: StrPath, *, kind: type = dict, remedy: str = "") -> Any:
  """Reads a JSON file whose outermost value is of a kind.

  Args:
    path: of the file.
    kind: dict or list.
    remedy: what to do about a damaged file, the end of the message.

  Raises:
    FileNotFoundError: there is no such file.
    OSError: it cannot be read.
    ValueError: it is damaged; the message names the file, what is wrong with
      it and what was expected.
  """
  content = read_bytes(path, limit=_LARGEST_JSON)
  try:
    value = json.loads(content.decode("utf-8"))
  except (ValueError, RecursionError) as error:
    wrong = f"it is no JSON ({error})" if content.strip() else "it is empty"
  else:
    if isinstance(value, kind):
      return value
    wrong = f"it holds {_shown(value)}"
  raise ValueError(
    f"{printable(path)} is damaged: {wrong}; expected {_KINDS[kind]}"
    + (f"; {remedy}" if remedy else "")
  )


def read_bytes(path: StrPath, *, limit: int) -> bytes:
  """Reads a regular file of at most `limit` bytes; never waits for a pipe.

  Raises:
    OSError: it cannot be read, is no regular file, or is larger.
  """
  with open_regular(path) as file:
    size = os.fstat(file.fileno()).st_size
    if size > limit:
      raise OSError(
        errno.EFBIG,
        f"{size} bytes, where at most {limit} are expected",
        os.fspath(path),
      )
    return file.read()


def open_regular(path: StrPath) -> IO[bytes]:
  """Opens a regular file to read; a pipe, socket, device or folder is refused.

  Raises:
    OSError: it cannot be opened, or is something else.
  """
  # Without O_NONBLOCK, opening a pipe waits for somebody who writes.
  descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  try:
    _check_regular(os.fstat(descriptor).st_mode, path)
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")
  except BaseException:
    os.close(descriptor)
    raise


def _check_regular(mode: int, path: StrPath) -> None:
  path = os.fspath(path)  # the text of an error shows it as it is
  if stat.S_ISDIR(mode):
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
  if not stat.S_ISREG(mode):
    raise OSError(
      errno.EINVAL, "it is a device, pipe or socket, not a regular file", path
    )


@contextlib.contextmanager
def _locked_part(part: Path) -> Iterator[IO[bytes]]:
  """Opens NAME.part, which only one process and thread has at a time."""
  flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
  while True:
    descriptor = os.open(part, flags, 0o666)
    with open(descriptor, "r+b") as file:
      _check_regular(os.fstat(descriptor).st_mode, part)
      flock(descriptor, fcntl.LOCK_EX)
      # Whoever had it before has renamed it, and this would write to that.
      if not _is_at(part, descriptor):
        continue
      yield file
      return


def _is_at(path: Path, descriptor: int) -> bool:
  try:
    return os.path.samestat(os.stat(path), os.fstat(descriptor))
  except FileNotFoundError:
    return False


def flock(descriptor: int, operation: int) -> bool:
  """`fcntl.flock`; False where the file system has no locks.

  Raises:
    BlockingIOError: another has it, and the operation does not wait.
    OSError: anything else.
  """
  try:
    fcntl.flock(descriptor, operation)
  except BlockingIOError:
    raise
  except OSError as error:
    if error.errno not in _NO_LOCKS:
      raise
    return False
  return True


def _sync_folder(folder: Path) -> None:
  """Brings the names in a folder to the disk, where that is possible."""
  with contextlib.suppress(OSError):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)


def disk_is_full(error: BaseException) -> bool:
  """Whether a write failed for want of space: of the disk, or of a quota."""
  # By their text: some libraries raise other errors, which quote the system's.
  full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
  return any(os.strerror(number) in str(error) for number in full)


def cache_folder() -> Path:
  """What may be forgotten is kept here; it need not exist.

  $JAXVISION_CACHE, else $XDG_CACHE_HOME/jaxvision, else ~/.cache/jaxvision.
  """
  if own := os.environ.get("JAXVISION_CACHE"):
    return Path(own).expanduser()
  home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  return Path(home) / "jaxvision"


def printable(text: object, *, keep: str = "") -> str:
  r"""Returns text that no terminal obeys, on one line.

  Control characters (also those of ANSI sequences), marks that turn the
  direction of writing, invisible ones and line separators are escaped as in
  Python (`\n`, `\x1b`, `\u202e`); bytes that are no UTF-8 as `\xff`.

  Args:
    text: a name, a path, or anything with a text.
    keep: characters that stay, such as "\n\t" in messages of several lines.
  """
  text = os.fsdecode(text) if isinstance(text, bytes) else str(text)
  if text.isascii() and text.isprintable():
    return text
  return "".join(
    each if each in keep or not _is_control(each) else _escape(each)
    for each in text
  )


def _is_control(character: str) -> bool:
  category = unicodedata.category(character)
  return category in ("Cc", "Cs", "Zl", "Zp") or (
    category == "Cf" and character not in _KEPT
  )


def _escape(character: str) -> str:
  code = ord(character)
  if 0xDC80 <= code <= 0xDCFF:  # a byte that os.fsdecode could not decode
    return f"\\x{code - 0xDC00:02x}"
  if character in _SHORT:
    return _SHORT[character]
  if code < 0x100:
    return f"\\x{code:02x}"
  return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(match: re.Match[str]) -> str:
  return _escape(match[0])


def _finite(value: Any, default: Callable[[Any], Any] | None) -> Any:
  """The same value with null in place of what is no finite number."""
  if isinstance(value, float):
    return float(value) if math.isfinite(value) else None
  if isinstance(value, dict):
    return {
      None if isinstance(key, float) and not math.isfinite(key) else key: (
        _finite(each, default)
      )
      for key, each in value.items()
    }
  if isinstance(value, list | tuple):
    return [_finite(each, default) for each in value]
  if value is None or isinstance(value, str | int) or default is None:
    return value
  return _finite(default(value), default)


def _shown(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) <= 40 else f"{text[:40]}..."
