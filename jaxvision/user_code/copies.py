"""The copies of user-defined code in a run folder or a sweep folder.

FOLDER/code/my_model/ contains my_model.py and the modules that it imports. The
key "code" of config.json (for a sweep: sweep.json) records the copied files and
their digests, by the name that the user has written:

  "my_model.py": {"folder": "code/my_model", "entry": "my_model.py",
                  "origin": "/home/me", "digest": "5f0c...",
                  "files": {"my_model.py": "9a1b...", "blocks.py": "77e0..."}}
"""

import hashlib
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxvision import files
from jaxvision.user_code import consent
from jaxvision.user_code.bundle import Bundle

Path = pathlib.Path

_LOGGER = logging.getLogger(__name__)
_LARGEST = 16 << 20  # bytes of a file


def write_copies(
  folder: Path,
  bundles: Mapping[str, Bundle],
  *,
  kept: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
  """Copies code into a folder; returns the record for the key "code".

  Args:
    folder: of a run or a sweep.
    bundles: by the names that the user has written.
    kept: the existing record, whose copies are kept.

  Raises:
    OSError: the folder cannot be written.
  """
  record = {}
  taken = {Path(each["folder"]).name for each in (kept or {}).values()}
  for written, bundle in sorted(bundles.items()):
    name = stem = Path(bundle.stem).name
    while name in taken:
      name = f"{stem}_{len(taken) + 1}"
    taken.add(name)
    for path, content in bundle.files.items():
      target = folder / "code" / name / path
      target.parent.mkdir(parents=True, exist_ok=True)
      files.write_bytes(target, content)
    record[written] = {
      "folder": f"code/{name}",
      "entry": bundle.entry,
      "origin": bundle.origin,
      "digest": bundle.digest,
      "files": {path: _digest(each) for path, each in bundle.files.items()},
    }
    _LOGGER.info(
      "copied into %s: %s, for %s; commands on %s use this copy",
      files.printable(folder / "code" / name),
      ", ".join(map(files.printable, sorted(bundle.files))),
      files.printable(written),
      files.printable(folder),
    )
  return record


def read_copies(
  folder: Path, record: Mapping[str, Any], *, check: bool = True
) -> dict[str, Bundle]:
  """Reads the copies in a folder, by the names that the user has written.

  Args:
    folder: of a run or a sweep.
    record: the return value of `write_copies`.
    check: whether this account must have typed or trusted the code.

  Raises:
    OSError: a file does not exist.
    ValueError: a file was changed, the record is damaged, or the code is not
      trusted.
  """
  found = {}
  for written, each in record.items():
    try:
      place, names = _inside(folder, each["folder"]), each["files"]
      content = {path: _read(place, path, names[path]) for path in names}
      bundle = Bundle(
        written=str(written),
        entry=str(each["entry"]),
        origin=str(each["origin"]),
        place=str(place),
        files=content,
      )
      bundle.files[bundle.entry]
    except (KeyError, TypeError, AttributeError) as error:
      raise ValueError(
        f"{files.printable(folder)}: the record of the copy of {written!r} is "
        f"damaged ({type(error).__name__}: {error}); restore the folder"
      ) from error
    if check:
      consent.check(bundle, str(folder))
    found[written] = bundle
  return found


def _inside(folder: Path, relative: str) -> Path:
  parts = Path(relative).parts
  if Path(relative).is_absolute() or ".." in parts:
    raise ValueError(
      f"{files.printable(folder)} records {relative!r} as its copy of code, "
      "which is outside of that folder; restore the record"
    )
  return folder / relative


def _read(place: Path, path: str, digest: str) -> bytes:
  content = files.read_bytes(_inside(place, path), limit=_LARGEST)
  if _digest(content) != digest:
    raise ValueError(
      f"{files.printable(place / path)} differs from the code that was copied "
      "here: its SHA-256 has changed. Restore the file; to use changed code, "
      "train a new run with it"
    )
  return content


def _digest(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()
