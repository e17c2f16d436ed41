"""Decoding by Pillow: all image files except complete JPEG and PNG files.

Pillow is slower but strict: it rejects truncated files, whose missing part
other decoders fill with grey. Each of Pillow's modes is converted to 8 bits:

- 1, L, P, RGB (1 to 8 bits, palettes): unchanged; palettes are resolved.
- LA, PA, RGBA, La, RGBa: alpha is dropped; premultiplied colours are divided by
  it first.
- CMYK, YCbCr, LAB: Pillow's conversion to RGB, if it has one.
- I;16 (16 bits, in TIFF also 12): scaled from 0..65535 or 0..4095, rounded.
- I of PNM (up to 16 bits): scaled from the white value of the file.
- F (floating point): scaled from 0..1. For other ranges the file does not
  define the white value, so the image is unreadable.
- I (32 bits, or signed): unreadable, for the same reason.

Pillow drops the lower half of 16 bits per colour: an error of at most 1 of 255.
In TIFF the smallest number may be white; such images are inverted.
"""

import contextlib
import ctypes
import functools
import io
import pathlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from jaxvision.data.decoding import formats, pixels, tiff, unreadable

if TYPE_CHECKING:
  from PIL import Image

_GREY = ("1", "L", "LA", "La")
_ALPHA = ("P", "PA", "LA", "La", "RGBa")
_WHITE_IS_ZERO = 0  # of TIFF's photometric interpretation


def decode(
  encoded: bytes,
  *,
  kind: str,
  channels: int,
  max_pixels: int,
  directory: tiff.Directory | None = None,
) -> tuple[np.ndarray, int]:
  """Decodes the first image of a file.

  Args:
    encoded: the content without metadata, except for AVIF.
    kind: the format, one of `formats.NAMES`.
    channels: 3 for RGB, 1 for grey.
    max_pixels: maximum number of pixels.
    directory: of a TIFF.

  Returns:
    (h, w[, 3]) uint8 before the orientation is applied, and the orientation of
    an AVIF, which only Pillow reads; otherwise 1.

  Raises:
    UnreadableImage: the image is too large, or its pixel values are undefined.
    Exception: any exception of Pillow for damaged files.
  """
  with _open(encoded, kind, max_pixels) as image:
    unreadable.check_size(image.height, image.width, max_pixels=max_pixels)
    image.load()
    orientation = _orientation(image) if kind == "AVIF" else 1
    if image.mode.startswith("I") or image.mode == "F":
      return _from_numbers(image, kind, channels, directory), orientation
    return _from_colours(image, channels), orientation


def decode_values(encoded: bytes, *, kind: str, max_pixels: int) -> np.ndarray:
  """Decodes the stored numbers of one channel, of a palette the indices.

  Args:
    encoded, kind, max_pixels: as for `decode`.

  Returns:
    (h, w, 1) uint8; 1 bit becomes 0 and 255.

  Raises:
    UnreadableImage, Exception: as `decode`.
  """
  with _open(encoded, kind, max_pixels) as image:
    image.load()
    grey = image.convert("L") if image.mode == "1" else image
    return np.array(grey)[..., None]


def look(
  encoded: bytes, *, kind: str, max_pixels: int = unreadable.MAX_PIXELS
) -> tuple[str, str, tuple[int, int]]:
  """Reads format, mode and size of a file without decoding it.

  Args:
    encoded: the content.
    kind: the format, one of `formats.NAMES`.
    max_pixels: maximum number of pixels.

  Returns:
    Pillow's name of the format ("MPO" is a JPEG with further images), the mode
    and (width, height).

  Raises:
    UnreadableImage, Exception: as `decode`.
  """
  with _open(encoded, kind, max_pixels) as image:
    unreadable.check_size(image.height, image.width, max_pixels=max_pixels)
    return image.format, image.mode, image.size


def _open(encoded: bytes, kind: str, max_pixels: int) -> "Image.Image":
  """Opens a file as this format only."""
  from PIL import Image

  # Pillow's warnings have no file name. The important ones are errors here.
  warnings.filterwarnings("ignore", category=Warning, module=r"PIL\.")
  # Pillow raises an error at twice its own limit.
  if Image.MAX_IMAGE_PIXELS is not None:
    Image.MAX_IMAGE_PIXELS = max(max_pixels, Image.MAX_IMAGE_PIXELS)
  name = formats.NAMES.get(kind)
  if name not in Image.OPEN:
    Image.init()
  if name not in Image.OPEN:
    raise unreadable.UnreadableImage(f"this Pillow cannot decode {kind}")
  if kind == "TIFF":
    _silence_libtiff()
  try:
    return Image.open(io.BytesIO(encoded), formats=(name,))
  except Image.UnidentifiedImageError as error:
    raise unreadable.UnreadableImage(
      f"it begins like {name}, but its header is damaged, or Pillow does not "
      "support it"
    ) from error
  except Image.DecompressionBombError as error:
    raise unreadable.UnreadableImage(
      f"it has more than twice as many pixels as data.max_pixels={max_pixels:,}"
      " allows; increase data.max_pixels if the image is correct"
    ) from error


@functools.cache
def _silence_libtiff() -> None:
  """Disables libtiff's messages, which do not contain the file name.

  The caller reports the unreadable file with its name.
  """
  with contextlib.suppress(OSError, AttributeError, StopIteration):
    maps = pathlib.Path("/proc/self/maps").read_text("utf-8")
    path = next(each for each in maps.split() if "/libtiff" in each)
    library = ctypes.CDLL(path)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
      set_handler = getattr(library, name)
      set_handler.argtypes = [ctypes.c_void_p]
      set_handler.restype = ctypes.c_void_p
      set_handler(None)


def _orientation(image: "Image.Image") -> int:
  """The orientation in the boxes irot and imir; Pillow returns it as EXIF."""
  from PIL import ExifTags

  found = image.getexif().get(ExifTags.Base.Orientation, 1)
  return found if found in range(1, 9) else 1


def _from_colours(image: "Image.Image", channels: int) -> np.ndarray:
  if image.mode == "La":
    image = image.convert("LA")
  if channels == 1 and image.mode in _GREY:
    return np.array(image.convert("L"))
  if image.mode in _ALPHA or "transparency" in image.info:
    image = image.convert("RGBA")
  return np.array(image.convert("RGB"))


def _from_numbers(
  image: "Image.Image",
  kind: str,
  channels: int,
  directory: tiff.Directory | None,
) -> np.ndarray:
  """Grey of more than 8 bits."""
  values = np.asarray(image)
  inverted = directory is not None and (
    directory.number(tiff.PHOTOMETRIC) == _WHITE_IS_ZERO
  )
  if image.mode == "F":
    grey = _from_floats(values)
  elif image.mode.startswith("I;16"):
    bits = directory.number(tiff.BITS) if directory else 16
    grey = pixels.to_8_bits(values, most=2 ** int(bits or 16) - 1)
  elif kind == "PNM":
    grey = pixels.to_8_bits(values)
  else:
    raise unreadable.UnreadableImage(
      f"its pixels are 32-bit or signed integers, {values.min()} to "
      f"{values.max()}, and the file does not define the white value; store it "
      "with 8 or 16 bits, unsigned"
    )
  grey = 255 - grey if inverted else grey
  return grey if channels == 1 else np.stack([grey] * 3, axis=-1)


def _from_floats(values: np.ndarray) -> np.ndarray:
  """Converts floating-point pixels, whose white value is 1."""
  low, high = values.min(), values.max()
  # Accepts a rounding error of half a step; rejects NaN.
  if not (low > -0.5 / 255 and high < 255.5 / 255):
    raise unreadable.UnreadableImage(
      f"its pixels are floating-point numbers, {low:g} to {high:g}; expected 0 "
      "to 1, with white at 1: divide them by the white value, or store 8 or 16 "
      "bits"
    )
  return np.rint(values * np.float32(255)).clip(0, 255).astype(np.uint8)
