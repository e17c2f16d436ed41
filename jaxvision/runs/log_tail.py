"""The end of a metrics.jsonl that grows: only new lines are read.

A resumed run replaces its log by a shorter one, and then appends to it. A log
that is not the one of before is read again from its first line.
"""

import dataclasses
import os

from jaxvision import files
from jaxvision.runs import metrics_log


@dataclasses.dataclass(frozen=True)
class Tail:
  """A position in a log, after a complete line.

  Attributes:
    offset: bytes before the position.
    last: the line before the position, in bytes; empty at the start. It shows
      whether the log is still the same.
  """

  offset: int = 0
  last: bytes = b""


def read(
  path: str | os.PathLike[str], tail: Tail
) -> tuple[list[dict[str, float]], Tail, bool]:
  """Reads the lines after a position.

  An incomplete last line is read when it is complete. Damaged lines are
  skipped.

  Args:
    path: of the log.
    tail: the position after the last reading; `Tail()` reads all lines.

  Returns:
    The lines, as in `metrics_log.read_lines`; the new position; and whether
    the log was replaced: the lines are then all lines of the new log.

  Raises:
    FileNotFoundError: the log does not exist.
    OSError: it cannot be read.
  """
  with files.open_regular(path) as file:
    file.seek(tail.offset - len(tail.last))
    content = file.read()
    is_replaced = not content.startswith(tail.last)
    if is_replaced:
      file.seek(0)
      content, tail = file.read(), Tail()
  complete = content[len(tail.last) : content.rfind(b"\n") + 1]
  lines = complete.splitlines(keepends=True)
  last = lines[-1] if lines else tail.last
  rows = [
    metrics_log.parse_line(line.decode("utf-8", "replace")) for line in lines
  ]
  kept = [row for row in rows if row is not None]
  return kept, Tail(tail.offset + len(complete), last), is_replaced
