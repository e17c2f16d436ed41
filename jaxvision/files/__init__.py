"""Files on disk: atomic writes, JSON, locks, paths and the cache folder.

Standard library only.
"""

from jaxvision.files.atomic import (
  decode_text,
  disk_is_full,
  move_written,
  open_regular,
  read_bytes,
  read_text,
  write_bytes,
  write_text,
  writing,
)
from jaxvision.files.cache import cache_folder
from jaxvision.files.escaping import printable
from jaxvision.files.strict_json import read_json, to_json, write_json

__all__ = [
  "cache_folder",
  "decode_text",
  "disk_is_full",
  "locks",
  "move_written",
  "open_regular",
  "paths",
  "printable",
  "read_bytes",
  "read_json",
  "read_text",
  "records",
  "seals",
  "spreadsheets",
  "suffixes",
  "to_json",
  "write_bytes",
  "write_json",
  "write_text",
  "writing",
]
