"""The cache folder of the account."""

import os
from pathlib import Path


def cache_folder() -> Path:
  """What may be forgotten is kept here; it need not exist.

  $JAXVISION_CACHE, else $XDG_CACHE_HOME/jaxvision, else ~/.cache/jaxvision.
  """
  if own := os.environ.get("JAXVISION_CACHE"):
    return Path(own).expanduser()
  home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  return Path(home) / "jaxvision"
