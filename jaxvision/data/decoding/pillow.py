"""Image files that Pillow decodes: all but whole JPEG and PNG.

Pillow is slower but strict: it refuses truncated files, whose missing part
other decoders paint grey. What it gives is called a mode; how each becomes 8
bits:

- 1, L, P, RGB (1 to 8 bits, palettes): as they are; palettes are resolved.
- LA, PA, RGBA, La, RGBa: alpha is dropped; colours that have been multiplied by
  it are divided first.
- CMYK, YCbCr, LAB: Pillow's conversion to RGB, where it has one.
- I;16 (16 bits, in TIFF also 12): scaled from 0..65535 or 0..4095, rounded.
- I of PNM (up to 16 bits): scaled from what the file calls white.
- F (floating point): scaled from 0..1; of others no file says what is white, so
  that they are unreadable.
- I (32 bits, or signed): unreadable, for the same reason.

16 bits per colour lose their lower half in Pillow: at most 1 of 255. In TIFF
the smallest number may be white; that is turned round.
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
    encoded: its content without metadata, except for AVIF.
    kind: its format, one of `formats.NAMES`.
    channels: 3 for RGB, 1 for grey.
    max_pixels: that it may have.
    directory: of a TIFF.

  Returns:
    (h, w[, 3]) uint8 as it is stored, and the orientation of an AVIF, which
    Pillow alone knows; otherwise 1.

  Raises:
    UnreadableImage: too large, or pixels that mean nothing certain.
    Exception: whatever Pillow raises on damaged files.
  """
  with _open(encoded, kind, max_pixels) as image:
    unreadable.check_size(image.height, image.width, max_pixels=max_pixels)
    image.load()
    lying = _orientation(image) if kind == "AVIF" else 1
    if image.mode.startswith("I") or image.mode == "F":
      return _from_numbers(image, kind, channels, directory), lying
    return _from_colours(image, channels), lying


def look(
  encoded: bytes, *, kind: str, max_pixels: int = unreadable.MAX_PIXELS
) -> tuple[str, str, tuple[int, int]]:
  """What Pillow says of a file before it decodes it: format, mode, size.

  Args:
    encoded: its content.
    kind: its format, one of `formats.NAMES`.
    max_pixels: that it may have.

  Returns:
    The format in Pillow's words ("MPO" is a JPEG with further images), the mode
    and (width, height).

  Raises:
    UnreadableImage, Exception: as `decode`.
  """
  with _open(encoded, kind, max_pixels) as image:
    unreadable.check_size(image.height, image.width, max_pixels=max_pixels)
    return image.format, image.mode, image.size


def _open(encoded: bytes, kind: str, max_pixels: int) -> "Image.Image":
  """Opens a file as of this format and no other."""
  from PIL import Image

  # Said without the name of the file; what matters of it is an error here.
  warnings.filterwarnings("ignore", category=Warning, module=r"PIL\.")
  # Pillow has a limit of its own, at twice this number.
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
      f"it begins as {name} does, but its header is damaged, or of a kind that "
      "Pillow cannot read"
    ) from error
  except Image.DecompressionBombError as error:
    raise unreadable.UnreadableImage(
      f"it has more than twice as many pixels as data.max_pixels={max_pixels:,}"
      " allows; raise it if the image is what it should be"
    ) from error


@functools.cache
def _silence_libtiff() -> None:
  """Has libtiff print no more of damaged files, whose names it does not know.

  That the file is unreadable is said by others, with its name.
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
  """Of the boxes irot and imir, which Pillow gives as if they were EXIF."""
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
    grey = _from_shares(values)
  elif image.mode.startswith("I;16"):
    bits = directory.number(tiff.BITS) if directory else 16
    grey = pixels.to_8_bits(values, most=2 ** int(bits or 16) - 1)
  elif kind == "PNM":
    grey = pixels.to_8_bits(values)
  else:
    raise unreadable.UnreadableImage(
      f"its pixels are integers of 32 bits or signed ones, {values.min()} to "
      f"{values.max()}, and it does not say which one is white; store it with "
      "8 or 16 bits, unsigned"
    )
  grey = 255 - grey if inverted else grey
  return grey if channels == 1 else np.stack([grey] * 3, axis=-1)


def _from_shares(values: np.ndarray) -> np.ndarray:
  """Floating point, whose white is 1."""
  low, high = values.min(), values.max()
  # Up to half a step beside; not where one is not a number.
  if not (low > -0.5 / 255 and high < 255.5 / 255):
    raise unreadable.UnreadableImage(
      f"its pixels are floating-point numbers, {low:g} to {high:g}; expected 0 "
      "to 1, of which 1 is white: divide them by what is white, or store 8 or "
      "16 bits"
    )
  return np.rint(values * np.float32(255)).clip(0, 255).astype(np.uint8)
