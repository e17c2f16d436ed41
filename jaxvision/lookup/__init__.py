"""Functions by name and options; an unknown name lists the nearest known names.

Standard library only.
"""

from jaxvision.lookup.calls import call, literal, split
from jaxvision.lookup.spelling import bind, defaults, nearest, unknown

__all__ = [
  "bind",
  "call",
  "defaults",
  "literal",
  "nearest",
  "options",
  "ranges",
  "split",
  "unknown",
]
