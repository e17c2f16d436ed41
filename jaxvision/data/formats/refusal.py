"""One boundary around each reader of files: any failure becomes a refusal.

Libraries that read files of others raise whatever their code comes across:
zlib.error, struct.error, OverflowError, RecursionError, MemoryError and more. A
list of them made by memory is never whole.
"""

import contextlib
from collections.abc import Iterator

from jaxvision import files


@contextlib.contextmanager
def naming(what: str, *, remedy: str) -> Iterator[None]:
  """Turns any exception of the block into a ValueError that names the file.

  Args:
    what: the file and what is wrong, as in "a.tar is no whole tar archive".
    remedy: what to do.

  Raises:
    OSError: a file that cannot be opened, or a full disk.
    ValueError: anything else.
  """
  try:
    yield
  except Exception as error:
    # An OSError that names a file, or a full disk, says more as it is. Others
    # are of damaged files, such as a seek to before the beginning.
    if isinstance(error, OSError) and (
      error.filename is not None or files.disk_is_full(error)
    ):
      raise
    reason = f"{error}" or type(error).__name__
    raise ValueError(f"{what}: {reason}; {remedy}") from error
