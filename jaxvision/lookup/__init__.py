"""Functions by name and options; an unknown name lists the nearest known names.

Standard library only.
"""

from jaxvision.lookup.calls import call, literal, split
from jaxvision.lookup.functions import find
from jaxvision.lookup.spelling import bind, defaults, nearest, unknown
from jaxvision.user_code import as_written, is_own

__all__ = [
  "as_written",
  "bind",
  "call",
  "defaults",
  "find",
  "is_own",
  "literal",
  "nearest",
  "options",
  "ranges",
  "split",
  "unknown",
]
