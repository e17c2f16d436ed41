"""Downloads of single files: resumable, and visible only when complete.

During a download the file is NAME.part. NAME.part.version identifies the
version on the server. NAME.part is locked: if several processes need the same
file, one downloads it and the others wait.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from jaxvision import files
from jaxvision.downloads import redaction
from jaxvision.files import locks
from jaxvision.processes import progress

if TYPE_CHECKING:
  import requests

_LOGGER = logging.getLogger(__name__)
# requests, not fsspec: fsspec cannot resume an interrupted http download.
_TIMEOUT = (10.0, 60.0)  # seconds: to connect, between two pieces
# Bytes of a piece. When a connection breaks, the incomplete piece is lost.
_PIECE = 1 << 16
_DIGEST = re.compile("[0-9a-fA-F]{8,64}")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def download(
  url: str, path: str | pathlib.Path, *, sha256: str | None = None
) -> None:
  """Downloads a file, unless another process has just done so.

  A partial file of an earlier attempt is resumed if the server still has the
  same version. A broken connection is reopened as long as each connection
  delivers data.

  Args:
    url: http:// or https://.
    path: the target; its folder is created.
    sha256: expected digest of the complete file, as for `check_sha256`.

  Raises:
    FileNotFoundError: the server does not have the file.
    ConnectionError: the server cannot be reached, refuses, or closes the
      connection. The message has a remedy without network.
    ValueError: the checksum differs.
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
        file.truncate(0)  # the next attempt must not resume from it
        raise
      files.move_written(part, path)
    part.unlink(missing_ok=True)
    version.unlink(missing_ok=True)


def check_sha256(
  path: str | pathlib.Path, sha256: str | None, *, source: str
) -> None:
  """Compares a file with its published checksum; None skips the check.

  Args:
    path: of the file.
    sha256: 64 hexadecimal digits, in upper or lower case, or the first ones;
      at least 8.
    source: the name of the file in messages.

  Raises:
    ValueError: they differ; the message contains both. Or this is no checksum.
  """
  if sha256 is None:
    return
  if not _DIGEST.fullmatch(sha256):
    raise ValueError(
      f"{sha256!r:.80} is no SHA-256; expected 64 hexadecimal digits, or at "
      "least the first 8 of them"
    )
  with open(path, "rb") as file:
    found = hashlib.file_digest(file, "sha256").hexdigest()
  if not found.startswith(sha256.lower()):
    raise ValueError(
      f"{source} has SHA-256 {found}, but {sha256.lower()} was expected: the "
      "file is damaged, or it is another version"
    )


@contextlib.contextmanager
def _locked(part: pathlib.Path, url: str) -> Iterator[BinaryIO]:
  """Opens a file for appending, locked against other processes."""

  def waiting() -> None:
    _LOGGER.info(
      "waiting for another process that downloads %s",
      redaction.without_secrets(url),
    )

  with part.open("ab") as file:
    locks.lock(file.fileno(), held=waiting)
    yield file


def _fetch(
  url: str, file: BinaryIO, *, version: pathlib.Path, path: pathlib.Path
) -> None:
  """Appends the missing part of a file, if necessary in several connections."""
  import requests

  _LOGGER.info("downloading %s to %s", redaction.without_secrets(url), path)
  with requests.Session() as session:
    while True:
      # The current end of the file: another process may have written since the
      # file was opened.
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
  """Returns the error with the remedy."""
  shown = redaction.without_secrets(url)
  remedy = (
    f"Without a network, put the file at {path}, or give the path of your own "
    "copy in place of the address."
  )
  if error.response is None:
    came = f" any longer; {kept:,} bytes are kept" if kept else ""
    reason = redaction.redacted(str(error), url)
    return ConnectionError(
      f"{shown} cannot be reached{came}: {reason}. {remedy}"
    )
  status = error.response.status_code
  kind = FileNotFoundError if status in (404, 410) else ConnectionError
  answer = f"{status} {error.response.reason}"
  return kind(f"{shown} cannot be downloaded: the answer is {answer}. {remedy}")


def _append(
  session: "requests.Session",
  url: str,
  *,
  file: BinaryIO,
  version: pathlib.Path,
) -> None:
  """Appends the data of one connection.

  Raises:
    requests.RequestException: the data is less than the rest of the file, or is
    not the requested data.
  """
  done = file.tell()
  kept = _read_version(version) if done else {}
  if kept:
    with _get(session, url, first=done, tag=kept["tag"]) as response:
      if response.status_code == 206 and _fits(response, done, kept):
        return _receive(response, file, total=_total(response, kept))
      if response.status_code == 416 and _is_complete(response, done, kept):
        return
      if response.status_code == 200:
        return _restart(response, file, version)
      if response.status_code not in (206, 412, 416):
        response.raise_for_status()
  # The server has another version of the file, or answers ranges wrongly.
  with _get(session, url) as response:
    response.raise_for_status()
    _restart(response, file, version)


def _get(
  session: "requests.Session", url: str, *, first: int = 0, tag: str = ""
) -> "requests.Response":
  headers = {"Accept-Encoding": "identity"}  # ranges count the file's bytes
  if first:
    headers |= {"Range": f"bytes={first}-", "If-Range": tag}
  return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)


def _restart(
  response: "requests.Response", file: BinaryIO, version: pathlib.Path
) -> None:
  """Writes the complete file from its start."""
  import requests

  part = _range(response)
  if response.status_code != 200 and (response.status_code, part[:1]) != (
    206,
    (0,),
  ):
    raise requests.RequestException(
      "the answer to a request for the complete file is "
      f"{response.status_code} {response.reason}, "
      f"{response.headers.get('Content-Range', 'no range')}"
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

  title = pathlib.Path(file.name).name.removesuffix(".part")
  with progress.open_bar(
    title, total=total, done=file.tell(), unit="bytes"
  ) as advance:
    for piece in response.iter_content(_PIECE):
      file.write(piece)
      advance(len(piece))
  file.flush()
  if total not in (None, file.tell()):
    raise requests.ConnectionError(
      f"{file.tell():,} of {total:,} bytes arrived"
    )


def _read_version(path: pathlib.Path) -> dict[str, Any]:
  """Reads the version that a partial file belongs to: tag and total size.

  Empty if the version is unknown. The partial file is then discarded.
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
  """Whether the answer continues the same version at the right byte.

  Servers that do not know If-Range send the rest of their current version.
  """
  first, *_, total = _range(response) or (None, None)
  return (
    first == done
    and "Content-Encoding" not in response.headers
    and total is not None
    and kept["total"] in (None, total)
    and _version(response) in ("", kept["tag"])
  )


def _is_complete(
  response: "requests.Response", done: int, kept: Mapping[str, Any]
) -> bool:
  """Whether the server has no more bytes because the file is complete."""
  _, _, total = response.headers.get("Content-Range", "").partition("/")
  return (
    total == str(done)
    and kept["total"] in (None, done)
    and _version(response) in ("", kept["tag"])
  )


def _range(response: "requests.Response") -> tuple[int | None, ...]:
  """(first byte, last byte, size of the complete file) of an answer; or ()."""
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
  """Returns the size of the complete file, if the answer contains it."""
  if "Content-Encoding" in response.headers:
    return None  # the header has the compressed size
  if part := _range(response):
    return part[2]
  size = response.headers.get("Content-Length", "")
  return int(size) if size.isdecimal() else kept.get("total")


def _version(response: "requests.Response") -> str:
  """Returns the value for `If-Range`; weak tags do not identify exact bytes."""
  if "Content-Encoding" in response.headers:
    return ""  # the tag of the compressed content
  tag = response.headers.get("ETag", "")
  if tag and not tag.startswith("W/"):
    return tag
  return response.headers.get("Last-Modified", "")
