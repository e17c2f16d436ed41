"""The metadata file of orbax in each checkpoint: when it was written.

jaxvision does not read these files, and orbax works without them. But if one of
them is damaged, orbax opens no checkpoint of the folder. Standard library only.
"""

import pathlib

from jaxvision import files

_NAME = "_CHECKPOINT_METADATA"
_KNOWN = (
  *("item_handlers", "metrics", "performance_metrics", "custom_metadata"),
  *("init_timestamp_nsecs", "commit_timestamp_nsecs"),
)


def damaged(checkpoints: pathlib.Path) -> list[pathlib.Path]:
  """The metadata files in a checkpoints folder that are damaged."""
  found = sorted(checkpoints.glob(f"[0-9]*/{_NAME}"))
  return [path for path in found if not _is_intact(path)]


def _is_intact(path: pathlib.Path) -> bool:
  try:
    found = files.read_json(path)
  except (ValueError, OSError):
    return False
  return set(found) <= set(_KNOWN) and all(
    isinstance(found.get(key), kind)
    for key, kind in (
      ("init_timestamp_nsecs", int | None),
      ("commit_timestamp_nsecs", int | None),
      ("performance_metrics", dict | None),
      ("custom_metadata", dict | None),
    )
  )
