"""Puts the code that a config names in the place of the names."""

import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import files
from jaxvision.user_code import bundle as bundles
from jaxvision.user_code import consent, loading, locating, reference
from jaxvision.user_code.bundle import Bundle

Path = pathlib.Path

_LOGGER = logging.getLogger(__name__)


def open_file(path: str | Path) -> Bundle:
  """Reads a recipe or another Python file that is to be run.

  Raises:
    OSError: it cannot be read.
    ValueError: it is no Python.
  """
  written, path = str(path), Path(path).expanduser().absolute()
  return bundles.gather(written, origin=path.parent, entry=path.name)


def resolve(
  nested: Mapping[str, Any],
  *,
  folders: Sequence[Path],
  copies: Mapping[str, Bundle] | None = None,
  owner: str = "",
) -> dict[str, Any]:
  """A nested config in which keys of bundles stand for own code.

  Nothing is run, but all that is named can be from now on.

  Args:
    nested: a config as the user wrote it.
    folders: that relative paths may start in.
    copies: of a run, by what is written; they stand in for the originals.
    owner: the folder whose config it is; "" where the user has typed it.

  Raises:
    FileNotFoundError: a file is not there.
    ValueError: the code is not trusted, or not of the user.
  """
  found: dict[str, Bundle] = {}

  def replace(source: str, name: str) -> str:
    if reference.key_of(source):
      return f"{source}:{name}"
    if source not in found:
      found[source] = _find(source, folders, copies or {}, owner)
    return f"{loading.register(found[source])}:{name}"

  return reference.rewrite(nested, replace)


def used(nested: Mapping[str, Any]) -> dict[str, Bundle]:
  """The bundles of a resolved config, by what the user has written."""
  found: dict[str, Bundle] = {}

  def note(source: str, name: str) -> str:
    key = reference.key_of(source)
    if key is not None:
      each = loading.registered()[key]
      found[each.written] = each
    return f"{source}:{name}"

  reference.rewrite(nested, note)
  return found


def as_written(value: Any) -> Any:
  """Any nested value with the user's own names in the place of keys."""
  known = loading.registered()

  def written(key: str) -> str | None:
    return known[key].written if key in known else None

  return reference.as_written(value, written)


def _find(
  source: str,
  folders: Sequence[Path],
  copies: Mapping[str, Bundle],
  owner: str,
) -> Bundle:
  if source in copies:
    _say_changed(copies[source], folders)
    return copies[source]
  found = locating.find(source, folders=folders, kind="own code")
  _accept(found, owner)
  return found


def _accept(found: Bundle, owner: str) -> None:
  if owner:
    consent.check(found, owner)
  else:
    consent.allow(found)


def _say_changed(copy: Bundle, folders: Sequence[Path]) -> None:
  try:
    original = locating.find(copy.written, folders=folders, kind="own code")
  except (OSError, ValueError):
    return
  if original.digest != copy.digest:
    _LOGGER.warning(
      "%s has changed since it was copied; the copy is used: %s. To use the "
      "new one, give another --workdir",
      files.printable(Path(original.origin) / original.entry),
      files.printable(Path(copy.place) / copy.entry),
    )
