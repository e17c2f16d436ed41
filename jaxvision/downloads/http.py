"""One file from the web: goes on where it was cut off, appears only when whole.

While it is under way the file is called NAME.part, and NAME.part.version holds
what tells that version of it from others. NAME.part is locked, so of several
processes that want the same file one fetches it and the others wait.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from jaxvision import files
from jaxvision.downloads import redaction

if TYPE_CHECKING:
  import requests

_LOGGER = logging.getLogger(__name__)
# requests and not fsspec: its http files cannot go on after an interruption.
_TIMEOUT = (10.0, 60.0)  # seconds: to connect, between two pieces
# What arrived of a piece before a connection broke is lost.
_PIECE = 1 << 16
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


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
        check_sha256(part, sha256, source=redaction.without_secrets(url))
      except ValueError:
        file.truncate(0)  # or the next attempt would go on from it
        raise
      os.fsync(file.fileno())
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
      files.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      _LOGGER.info(
        "waiting for another process that downloads %s",
        redaction.without_secrets(url),
      )
      files.flock(file.fileno(), fcntl.LOCK_EX)
    yield file


def _fetch(
  url: str, file: BinaryIO, *, version: pathlib.Path, path: pathlib.Path
) -> None:
  """Appends what is missing of a file, over several connections if need be."""
  import requests

  _LOGGER.info("downloading %s to %s", redaction.without_secrets(url), path)
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
          raise _explained(error, url, kept=kept, path=path) from None


def _explained(
  error: "requests.RequestException", url: str, *, kept: int, path: pathlib.Path
) -> OSError:
  """Returns the error that says what to do."""
  shown = redaction.without_secrets(url)
  remedy = (
    f"Without a network, put the file at {path}, or give the path of your own "
    "copy in place of the address."
  )
  if error.response is None:
    came = f" to its end, {kept:,} bytes are kept" if kept else ""
    reason = redaction.redacted(str(error), url)
    return ConnectionError(
      f"{shown} cannot be reached{came}: {reason}. {remedy}"
    )
  status = error.response.status_code
  kind = FileNotFoundError if status in (404, 410) else ConnectionError
  answer = f"{status} {error.response.reason}"
  return kind(f"{shown} is not to be had, the answer is {answer}. {remedy}")


def _append(
  session: "requests.Session",
  url: str,
  *,
  file: BinaryIO,
  version: pathlib.Path,
) -> None:
  """Appends what one connection brings.

  Raises:
    requests.RequestException: it brings less than the rest of the file, or
      something that was not asked for.
  """
  done = file.tell()
  kept = _read_version(version) if done else {}
  if kept:
    with _get(session, url, first=done, tag=kept["tag"]) as response:
      if response.status_code == 206 and _fits(response, done, kept):
        return _receive(response, file, total=_total(response, kept))
      if response.status_code == 416 and _is_whole(response, done, kept):
        return
      if response.status_code == 200:
        return _receive_anew(response, file, version)
      if response.status_code not in (206, 412, 416):
        response.raise_for_status()
  # Another version of the file, or a server that answers ranges wrongly.
  with _get(session, url) as response:
    response.raise_for_status()
    _receive_anew(response, file, version)


def _get(
  session: "requests.Session", url: str, *, first: int = 0, tag: str = ""
) -> "requests.Response":
  headers = {"Accept-Encoding": "identity"}  # ranges count the file's bytes
  if first:
    headers |= {"Range": f"bytes={first}-", "If-Range": tag}
  return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)


def _receive_anew(
  response: "requests.Response", file: BinaryIO, version: pathlib.Path
) -> None:
  """Writes a whole file from its start."""
  import requests

  part = _range(response)
  if response.status_code != 200 and (response.status_code, part[:1]) != (
    206,
    (0,),
  ):
    raise requests.RequestException(
      f"the answer to a request for the whole file is {response.status_code} "
      f"{response.reason}, {response.headers.get('Content-Range', 'no range')}"
    )
  file.truncate(0)
  file.seek(0)
  version.unlink(missing_ok=True)
  total = _total(response, {})
  if tag := _version(response):
    files.write_json(version, {"tag": tag, "total": total})
  _receive(response, file, total=total)
  if not file.tell():
    raise requests.ConnectionError("the answer is an empty file")


def _receive(
  response: "requests.Response", file: BinaryIO, *, total: int | None
) -> None:
  import requests

  with _progress(file.name, total=total, done=file.tell()) as advance:
    for piece in response.iter_content(_PIECE):
      file.write(piece)
      advance(len(piece))
  file.flush()
  if total not in (None, file.tell()):
    raise requests.ConnectionError(f"{file.tell():,} of {total:,} bytes came")


def _read_version(path: pathlib.Path) -> dict[str, Any]:
  """What is kept of the version that a part belongs to: tag and total.

  Empty where nobody knows; the part is then worth nothing.
  """
  if not path.exists():
    return {}
  try:
    text = path.read_text("utf-8")
    # Older versions wrote the tag alone.
    found = json.loads(text) if text[:1] == "{" else {"tag": text}
    tag, total = found["tag"], found.get("total")
  except (ValueError, KeyError):
    return {}
  known = isinstance(tag, str) and tag and isinstance(total, int | None)
  return {"tag": tag, "total": total} if known else {}


def _fits(
  response: "requests.Response", done: int, kept: Mapping[str, Any]
) -> bool:
  """Whether the answer is the rest of the same file after its first bytes.

  Servers that do not know If-Range send the rest of whatever is there now.
  """
  first, *_, total = _range(response) or (None, None)
  return (
    first == done
    and "Content-Encoding" not in response.headers
    and total is not None
    and kept["total"] in (None, total)
    and _version(response) in ("", kept["tag"])
  )


def _is_whole(
  response: "requests.Response", done: int, kept: Mapping[str, Any]
) -> bool:
  """Whether nothing is left to be sent because all of it is there."""
  _, _, total = response.headers.get("Content-Range", "").partition("/")
  return (
    total == str(done)
    and kept["total"] in (None, done)
    and _version(response) in ("", kept["tag"])
  )


def _range(response: "requests.Response") -> tuple[int | None, ...]:
  """(first byte, last byte, bytes of the whole file) of an answer; or ()."""
  text = response.headers.get("Content-Range", "")
  match = _RANGE.fullmatch(text.strip())
  if not match:
    return ()
  return tuple(
    int(each) if each.isdecimal() else None for each in match.groups()
  )


def _total(
  response: "requests.Response", kept: Mapping[str, Any]
) -> int | None:
  """Returns the size of the whole file, where the answer tells it."""
  if "Content-Encoding" in response.headers:
    return None  # the size of something else
  if part := _range(response):
    return part[2]
  size = response.headers.get("Content-Length", "")
  return int(size) if size.isdecimal() else kept.get("total")


def _version(response: "requests.Response") -> str:
  """Returns what `If-Range` takes; weak tags do not tell bytes apart."""
  if "Content-Encoding" in response.headers:
    return ""  # of something else
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
