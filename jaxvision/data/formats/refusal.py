"""Conversion of any failure of a file reader to one error with the file name.

Libraries that read untrusted files raise many types of exceptions: zlib.error,
struct.error, OverflowError, RecursionError, MemoryError and more. A list of
these types would be incomplete.
"""

import contextlib
from collections.abc import Iterator

from jaxvision import files


@contextlib.contextmanager
def naming(what: str, *, remedy: str) -> Iterator[None]:
  """Converts any exception of the block to a ValueError that names the file.

  Args:
    what: the file and the fault, as in "a.tar is not a complete tar archive".
    remedy: what to do.

  Raises:
    OSError: a file cannot be opened, or the disk is full.
    ValueError: any other exception.
  """
  try:
    yield
  except Exception as error:
    # An OSError with a file name, or for a full disk, is already clear. Other
    # ones come from damaged files, such as a seek to a negative offset.
    if isinstance(error, OSError) and (
      error.filename is not None or files.disk_is_full(error)
    ):
      raise
    reason = f"{error}" or type(error).__name__
    raise ValueError(f"{what}: {reason}; {remedy}") from error
