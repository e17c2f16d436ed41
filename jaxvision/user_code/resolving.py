"""Resolves references to user-defined code in a config."""

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
  """Reads a recipe or another Python file that will be run.

  Raises:
    OSError: the file cannot be read.
    ValueError: the file is not Python.
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
  """Replaces references in a nested config by the keys of their bundles.

  No code is run. All named code is registered, so that it can be imported.

  Args:
    nested: the config with references as written.
    folders: the folders that relative paths may start in.
    copies: the copies of a run, by written name; they replace the originals.
    owner: the folder that the config is from; "" if the user has typed it.

  Raises:
    FileNotFoundError: a file does not exist.
    ValueError: the code is not trusted, or it is not user-defined.
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
  """The bundles of a resolved config, by their written names."""
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
  """Replaces the bundle keys in a nested value by the written names."""
  known = loading.registered()

  def written(key: str) -> str | None:
    return known[key].written if key in known else None

  return reference.as_written(value, written)


def as_located(value: Any) -> Any:
  """Replaces the bundle keys in a nested value by absolute paths of files.

  A module that was written as "package.module" keeps this name.
  """
  known = loading.registered()

  def located(key: str) -> str | None:
    each = known.get(key)
    if each is None or not each.written.endswith(".py"):
      return each and each.written
    return str(Path(each.origin, each.entry))

  return reference.as_written(value, located)


def _find(
  source: str,
  folders: Sequence[Path],
  copies: Mapping[str, Bundle],
  owner: str,
) -> Bundle:
  if source in copies:
    _warn_if_changed(copies[source], folders)
    return copies[source]
  found = locating.find(source, folders=folders, kind="own code")
  _accept(found, owner)
  return found


def _accept(found: Bundle, owner: str) -> None:
  if owner:
    consent.check(found, owner)
  else:
    consent.allow(found)


def _warn_if_changed(copy: Bundle, folders: Sequence[Path]) -> None:
  try:
    original = locating.find(copy.written, folders=folders, kind="own code")
  except (OSError, ValueError):
    return
  if original.digest != copy.digest:
    _LOGGER.warning(
      "%s has changed since it was copied; the copy is used: %s. To use the "
      "new version, give another --workdir",
      files.printable(Path(original.origin) / original.entry),
      files.printable(Path(copy.place) / copy.entry),
    )
