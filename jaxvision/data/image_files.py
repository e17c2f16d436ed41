"""Files of images: which they are, and where they lie below a folder."""

import os
import pathlib
from collections.abc import Iterable

_JPEG = (".jfif", ".jpe", ".jpeg", ".jpg")
_NETPBM = (".pbm", ".pgm", ".pnm", ".ppm")
_OTHERS = (".bmp", ".gif", ".png", ".tif", ".tiff", ".webp")
EXTENSIONS = frozenset((*_JPEG, *_NETPBM, *_OTHERS))


def list_images(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
  """Files as they are given; instead of a folder, all images below it, sorted.

  Raises:
    FileNotFoundError: a folder contains no image.
  """
  found: list[pathlib.Path] = []
  for path in map(pathlib.Path, paths):
    below = [path]
    if path.is_dir():
      every = sorted(path.rglob("*"))
      below = [each for each in every if each.suffix.lower() in EXTENSIONS]
    if not below:
      raise FileNotFoundError(
        f"no image in {path}; looked for {' '.join(sorted(EXTENSIONS))}"
      )
    found.extend(below)
  return found
