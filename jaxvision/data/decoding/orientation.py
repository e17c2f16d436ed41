r"""The orientation of an image, 1 to 8 as in EXIF, read alike for all formats.

EXIF is a TIFF directory whose tag 0x0112 is the orientation (EXIF 2.3, section
4.6.4), with any number type and byte order. The prefix "Exif\\0\\0" may appear
once, twice or not at all. If the tag is missing, XMP may contain it
("tiff:Orientation"). Damaged values and values outside 1 to 8 mean upright.
"""

import re

import numpy as np

from jaxvision.data.decoding import tiff

UPRIGHT = 1
_PREFIX = re.compile(rb"(?:Exif\0\0){0,2}")
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def read(*, exif: bytes | None = None, xmp: bytes | None = None) -> int:
  """The orientation in the metadata.

  Args:
    exif: a TIFF, with or without its prefix; None if there is none.
    xmp: the text of an XMP packet; None if there is none.
  """
  directory = None
  if exif:
    directory = tiff.read(exif[_PREFIX.match(exif).end() :])
  return of_directory(directory, xmp=xmp)


def of_directory(
  directory: tiff.Directory | None, *, xmp: bytes | None = None
) -> int:
  """The orientation in a parsed directory; see `read`."""
  if directory is not None and tiff.ORIENTATION in directory.entries:
    return _valid(directory.number(tiff.ORIENTATION))
  found = xmp and _XMP.search(xmp)
  return _valid(int(found[1])) if found else UPRIGHT


def _valid(stated: float | None) -> int:
  return int(stated) if stated in range(1, 9) else UPRIGHT


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
  """Applies an orientation, so that the image is upright.

  Args:
    image: (h, w[, c]) uint8.
    orientation: 1 to 8.
  """
  import cv2

  if orientation in (2, 3, 4):
    return cv2.flip(image, {2: 1, 3: -1, 4: 0}[orientation])
  if orientation in (5, 7):
    image = cv2.transpose(image)
    return image if orientation == 5 else cv2.flip(image, -1)
  if orientation == 6:
    return cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
  if orientation == 8:
    return cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
  return image
