"""Which code this account may run though only a file names it.

The list is trusted_code.txt in the cache folder: a line for each bundle that
was typed here, with its SHA-256, the day and where it was. A line may be
removed, or the file.
"""

import contextlib
import contextvars
import datetime
import logging
import pathlib
from collections.abc import Iterator

from jaxvision import files
from jaxvision.files import locks
from jaxvision.user_code.bundle import Bundle

_LARGEST = 64 << 20  # bytes of the list
_LOGGER = logging.getLogger(__name__)
# Whether the user has said --trust.
_TRUSTS = contextvars.ContextVar("jaxvision_trusts_code", default=False)


@contextlib.contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
  """In it, code that files name is run and remembered, as by --trust."""
  token = _TRUSTS.set(trust or _TRUSTS.get())
  try:
    yield
  finally:
    _TRUSTS.reset(token)


def path() -> pathlib.Path:
  """The list of this account."""
  return files.cache_folder() / "trusted_code.txt"


def allow(bundle: Bundle) -> None:
  """Remembers that this account has typed, or trusts, some code."""
  if bundle.digest in _digests():
    return
  where = files.printable(pathlib.Path(bundle.origin) / bundle.entry)
  day = datetime.date.today().isoformat()
  try:
    path().parent.mkdir(parents=True, exist_ok=True)
    with locks.locked(path().with_suffix(".lock")):
      lines = _lines()
      if not any(line.startswith(bundle.digest) for line in lines):
        lines.append(f"{bundle.digest}  {day}  {where}")
        text = "".join(f"{line}\n" for line in lines)
        files.write_text(path(), text, mode=0o600)
  except (OSError, ValueError) as error:
    _LOGGER.warning(
      "cannot remember that %s may be run (%s); commands that take it from a "
      "folder will ask for --trust",
      where,
      error,
    )


def check(bundle: Bundle, owner: str) -> None:
  """Whether code may be run that only a file names.

  Args:
    bundle: the code.
    owner: what names it, such as the folder of a run.

  Raises:
    ValueError: this account has neither typed it nor said --trust.
  """
  if bundle.digest in _digests():
    return
  if _TRUSTS.get():
    allow(bundle)
    return
  where = pathlib.Path(bundle.place) / bundle.entry
  more = len(bundle.files) - 1
  raise ValueError(
    f"{files.printable(owner)} names code that was never typed on this "
    f"account: {files.printable(where)}"
    + (f" and {more} more of its files" if more else "")
    + f" (SHA-256 {bundle.digest[:16]}...). It could do anything with your "
    "files. Read it; if you want to run it, give the same command with --trust"
  )


def _digests() -> set[str]:
  return {line.partition(" ")[0] for line in _lines()}


def _lines() -> list[str]:
  try:
    content = files.read_bytes(path(), limit=_LARGEST)
  except OSError:
    return []
  return content.decode("utf-8", "replace").splitlines()
