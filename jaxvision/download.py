"""One file from the web: goes on where it was cut off, appears only when whole.

While it is under way the file is called NAME.part, and NAME.part.version holds
what tells that version of it from others. NAME.part is locked, so of several
processes that want the same file one fetches it and the others wait.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
  import requests

_LOGGER = logging.getLogger(__name__)
# requests and not fsspec: its http files cannot go on after an interruption.
_TIMEOUT = (10.0, 60.0)  # seconds: to connect, between two pieces
# What arrived of a piece before a connection broke is lost.
_PIECE = 1 << 16


def download(
  url: str, path: str | pathlib.Path, *, sha256: str | None = None
) -> None:
  """Fetches a file, unless another process has just done so.

  What is there of it from an earlier attempt is kept if the server still has
  the same version. A connection that breaks off is opened again as long as
  every one brings something.

  Args:
    url: http:// or https://.
    path: where it is to be; its folder is made.
    sha256: 64 hexadecimal digits that the whole file must have.

  Raises:
    FileNotFoundError: the server has no such file.
    ConnectionError: it cannot be reached, refuses, or breaks off; says what to
      do without a network.
    ValueError: the file has another checksum.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(path.name + ".part")
  version = part.with_name(part.name + ".version")
  with _locked(part, url) as file:
    if not path.exists():
      _fetch(url, file, version=version, path=path)
      try:
        check_sha256(part, sha256, source=url)
      except ValueError:
        file.truncate(0)  # or the next attempt would go on from it
        raise
      part.replace(path)
    part.unlink(missing_ok=True)
    version.unlink(missing_ok=True)


def check_sha256(
  path: str | pathlib.Path, sha256: str | None, *, source: str
) -> None:
  """Compares a file with its published checksum; None is not compared.

  Args:
    path: of the file.
    sha256: 64 hexadecimal digits, of either case.
    source: what the message calls the file.

  Raises:
    ValueError: they differ; the message has both.
  """
  if sha256 is None:
    return
  with open(path, "rb") as file:
    found = hashlib.file_digest(file, "sha256").hexdigest()
  if found != sha256.lower():
    raise ValueError(
      f"{source} has SHA-256 {found}, but {sha256.lower()} was expected: it is "
      "damaged, or another version than the one meant"
    )


@contextlib.contextmanager
def _locked(part: pathlib.Path, url: str) -> Iterator[BinaryIO]:
  """Opens a file to append to it, as the only process that does."""
  with part.open("ab") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      _LOGGER.info("waiting for another process that downloads %s", url)
      fcntl.flock(file, fcntl.LOCK_EX)
    yield file


def _fetch(
  url: str, file: BinaryIO, *, version: pathlib.Path, path: pathlib.Path
) -> None:
  """Appends what is missing of a file, over several connections if need be."""
  import requests

  _LOGGER.info("downloading %s to %s", url, path)
  with requests.Session() as session:
    while True:
      # The end as the system knows it: another process may have written since
      # the file was opened.
      before = file.seek(0, os.SEEK_END)
      try:
        return _append(session, url, file=file, version=version)
      except requests.RequestException as error:
        kept = file.tell()
        if kept <= before:
          raise _explained(error, url, kept=kept, path=path) from error


def _explained(
  error: "requests.RequestException", url: str, *, kept: int, path: pathlib.Path
) -> OSError:
  """Returns the error that says what to do."""
  remedy = (
    f"Without a network, put the file at {path}, or give the path of your own "
    "copy in place of the address."
  )
  if error.response is None:
    came = f" to its end, {kept:,} bytes are kept" if kept else ""
    return ConnectionError(f"{url} cannot be reached{came}: {error}. {remedy}")
  status = error.response.status_code
  kind = FileNotFoundError if status in (404, 410) else ConnectionError
  answer = f"{status} {error.response.reason}"
  return kind(f"{url} is not to be had, the answer is {answer}. {remedy}")


def _append(
  session: "requests.Session",
  url: str,
  *,
  file: BinaryIO,
  version: pathlib.Path,
) -> None:
  """Appends what one connection brings.

  Raises:
    requests.RequestException: it brings less than the rest of the file.
  """
  import requests

  done = file.tell()
  headers = {"Accept-Encoding": "identity"}  # ranges count the file's bytes
  if done and version.exists():
    headers["Range"] = f"bytes={done}-"
    headers["If-Range"] = version.read_text("utf-8")
  with session.get(
    url, headers=headers, stream=True, timeout=_TIMEOUT
  ) as response:
    total = _total(response)
    if response.status_code == 416 and total == done:
      return  # all of it was there
    if response.status_code != 416:
      response.raise_for_status()
    if not _goes_on(response, done):
      # Another version of the file, or a server that sends only whole ones.
      file.truncate(0)
      done = file.seek(0)
      version.unlink(missing_ok=True)
      if response.status_code != 200:
        return _append(session, url, file=file, version=version)
      if tag := _version(response):
        version.write_text(tag, "utf-8")
    with _progress(file.name, total=total, done=done) as advance:
      for piece in response.iter_content(_PIECE):
        file.write(piece)
        advance(len(piece))
    file.flush()
    if total not in (None, file.tell()):
      raise requests.ConnectionError(f"{file.tell():,} of {total:,} bytes came")


def _goes_on(response: "requests.Response", done: int) -> bool:
  """Whether the answer is the rest of the file after its first bytes."""
  part = response.headers.get("Content-Range", "")
  return response.status_code == 206 and part.startswith(f"bytes {done}-")


def _total(response: "requests.Response") -> int | None:
  """Returns the size of the whole file, where the answer tells it."""
  if "Content-Encoding" in response.headers:
    return None  # the size of something else
  part, _, whole = response.headers.get("Content-Range", "").partition("/")
  size = whole if part else response.headers.get("Content-Length", "")
  return int(size) if size.isdecimal() else None


def _version(response: "requests.Response") -> str:
  """Returns what `If-Range` takes; weak tags do not tell bytes apart."""
  tag = response.headers.get("ETag", "")
  if tag and not tag.startswith("W/"):
    return tag
  return response.headers.get("Last-Modified", "")


@contextlib.contextmanager
def _progress(
  name: str, *, total: int | None, done: int
) -> Iterator[Callable[[int], None]]:
  """Gives advance(bytes), which moves a bar if a terminal shows one."""
  if not sys.stderr.isatty():
    yield lambda count: None
    return
  from rich import console, progress

  columns = (
    progress.TextColumn("{task.description}"),
    progress.BarColumn(),
    progress.DownloadColumn(),
    progress.TransferSpeedColumn(),
    progress.TimeRemainingColumn(),
  )
  screen = console.Console(stderr=True)
  with progress.Progress(*columns, console=screen) as bar:
    title = pathlib.Path(name).name.removesuffix(".part")
    task = bar.add_task(title, total=total, completed=done)
    yield lambda count: bar.advance(task, count)
