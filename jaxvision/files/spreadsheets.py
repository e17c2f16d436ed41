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


def to_csv(rows: Iterable[Iterable[Any]]) -> str:
  """Returns rows as CSV text, one line each; None is an empty cell.

  Text is made printable. A cell that begins like a formula and is not a number
  gets an apostrophe in front, as OWASP ("CSV Injection") recommends.
  """
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  for row in rows:
    writer.writerow([_cell(each) for each in row])
  return text.getvalue()


def _cell(value: Any) -> Any:
  if value is None or isinstance(value, int | float):
    return value
  text = printable(value)
  if text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text):
    return f"'{text}"
  return text
