"""A part of a file: the arrays of a nested dict, or with the same prefix."""

import dataclasses
import difflib
import re
from collections import Counter

from jaxvision import files
from jaxvision.weights.formats.array_file import ArrayFile

_LISTED = 12  # parts in a message
_SEPARATOR = re.compile(r"[./]")


def select(file: ArrayFile, part: str) -> ArrayFile:
  """Returns the file with the arrays of a part only, without its prefix.

  Args:
    file: the open file.
    part: the beginning of the names, up to a dot or a slash.

  Raises:
    ValueError: no name begins so.
  """
  beginnings = (f"{part}.", f"{part}/")
  entries = {
    name[len(part) + 1 :]: entry
    for name, entry in file.entries.items()
    if name.startswith(beginnings)
  }
  if not entries:
    raise ValueError(_unknown(file, part))
  nested = (
    each[len(part) + 1 :] for each in file.parts if each.startswith(beginnings)
  )
  return dataclasses.replace(
    file, entries=entries, notes={}, parts=("", *nested), lists=()
  )


def _unknown(file: ArrayFile, part: str) -> str:
  shown = files.printable(file.path)
  found = Counter(
    name[: match.start()]
    for name in file.entries
    if (match := _SEPARATOR.search(name))
  )
  if not found:
    return f"{shown} has no parts: omit #{files.printable(part)}"
  near = difflib.get_close_matches(part, found, n=1)
  listed = ", ".join(
    f"{files.printable(name)} ({count} arrays)"
    for name, count in found.most_common(_LISTED)
  )
  hint = f"; did you mean {files.printable(near[0])}?" if near else ""
  more = ", ..." if len(found) > _LISTED else ""
  return (
    f"{shown} has no part {files.printable(part)!r}; its parts are {listed}"
    f"{more}{hint}"
  )
