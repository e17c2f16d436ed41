"""The notes that orbax keeps in each checkpoint: when it was made.

Nothing here reads them, and orbax does without them, but it opens no checkpoint
of a folder in which one of them is damaged. Standard library only.
"""

import pathlib

from jaxvision import files

_NAME = "_CHECKPOINT_METADATA"
_KNOWN = (
  *("item_handlers", "metrics", "performance_metrics", "custom_metadata"),
  *("init_timestamp_nsecs", "commit_timestamp_nsecs"),
)


def damaged(checkpoints: pathlib.Path) -> list[pathlib.Path]:
  """The notes in a folder of checkpoints that orbax cannot have written."""
  notes = sorted(checkpoints.glob(f"[0-9]*/{_NAME}"))
  return [note for note in notes if not _is_whole(note)]


def _is_whole(note: pathlib.Path) -> bool:
  try:
    found = files.read_json(note)
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
