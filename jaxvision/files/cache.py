"""The cache folder of the user account."""

import os
from pathlib import Path


def cache_folder() -> Path:
  """Returns the folder for files that can be recomputed; it may not exist yet.

  $JAXVISION_CACHE, else $XDG_CACHE_HOME/jaxvision, else ~/.cache/jaxvision.
  """
  if own := os.environ.get("JAXVISION_CACHE"):
    return Path(own).expanduser()
  home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  return Path(home) / "jaxvision"
