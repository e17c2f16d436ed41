"""The list of user-defined code that this account allows to run.

The list is trusted_code.txt in the cache folder. It has one line for each
bundle that the user has typed, with its SHA-256, the date and its path. The
user may remove a line or the file.
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
# Whether the option --trust was given.
_TRUSTS = contextvars.ContextVar("jaxvision_trusts_code", default=False)


@contextlib.contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
  """Runs and remembers code from folders in this block, as with --trust."""
  token = _TRUSTS.set(trust or _TRUSTS.get())
  try:
    yield
  finally:
    _TRUSTS.reset(token)


def path() -> pathlib.Path:
  """The path of the list of this account."""
  return files.cache_folder() / "trusted_code.txt"


def allow(bundle: Bundle) -> None:
  """Adds code that the user has typed or trusts to the list of this account."""
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
      "cannot store that %s may be run (%s); commands that read it from a run "
      "folder will require --trust",
      where,
      error,
    )


def check(bundle: Bundle, owner: str) -> None:
  """Checks that code named by a file, not by the user, may run.

  Args:
    bundle: the code.
    owner: the file or folder that names the code, such as a run folder.

  Raises:
    ValueError: the user has neither typed this code nor given --trust.
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
    + f" (SHA-256 {bundle.digest[:16]}...). This code could read or change all "
    "of your files. Read it first; to run it, repeat the command with --trust"
  )


def _digests() -> set[str]:
  return {line.partition(" ")[0] for line in _lines()}


def _lines() -> list[str]:
  try:
    content = files.read_bytes(path(), limit=_LARGEST)
  except OSError:
    return []
  return content.decode("utf-8", "replace").splitlines()
