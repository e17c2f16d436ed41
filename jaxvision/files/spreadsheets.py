"""Tables as CSV without formulas.

Standard library only.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from jaxvision.files.escaping import printable

_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)


def to_csv(rows: Iterable[Iterable[Any]], *, keep: str = "") -> str:
  """Returns rows as CSV text, one line each; None is an empty cell.

  Text is made printable. A cell that begins like a formula and is not a number
  gets an apostrophe in front, as OWASP ("CSV Injection") recommends.

  Args:
    rows: the cells of each line.
    keep: control characters that are not escaped, as for `files.printable`. A
      line break makes a quoted cell of several lines (RFC 4180).
  """
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  for row in rows:
    writer.writerow([_cell(each, keep) for each in row])
  return text.getvalue()


def _cell(value: Any, keep: str) -> Any:
  if value is None or isinstance(value, int | float):
    return value
  text = printable(value, keep=keep)
  if text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text):
    return f"'{text}"
  return text
