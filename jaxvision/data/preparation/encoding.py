"""Encoding of stored images: files are kept unchanged where possible.

A JPEG file of 1 or 3 channels is kept byte for byte. A file that is named JPEG
but has another format, or that has the 4 channels of print (CMYK), which not
all decoders read alike, is re-encoded. Images that get another size or quality
are also re-encoded.
"""

from collections.abc import Callable

import numpy as np

from jaxvision.data import decoding
from jaxvision.data.decoding import formats, pillow, resizing

Encode = Callable[[bytes | np.ndarray], tuple[bytes, str]]

DEFAULT_QUALITY = 95
_FORMATS = {"jpeg": ("JPEG", "MPO"), "png": ("PNG",)}
_ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB\x60\x82"}


def make_encoder(
  encoding: str, *, channels: int = 3, resize_small: int = 0, quality: int = 0
) -> Encode:
  """Returns encode(image) -> (its file, the reason for a repair).

  The image is the content of a file or a (h, w, channels) uint8 array. The
  reason is a short text, such as "was PNG", if the file had to be repaired. It
  is empty for a file that is kept, for an array, and for a requested change.
  encode raises UnreadableImage.

  Args:
    encoding: "jpeg" or "png".
    channels: of re-encoded images.
    resize_small: images whose shorter side has more pixels are resized to it,
      by the mean over each pixel's area; 0 keeps the size.
    quality: re-encodes all JPEG images at this quality, 1 to 100; 0 re-encodes
      only where necessary, at 95.

  Raises:
    ValueError: a quality for PNG, or a value out of range.
  """
  if quality and encoding != "jpeg":
    raise ValueError(
      f"quality {quality} is for JPEG, but these images are stored as "
      f"{encoding.upper()}, without loss: omit --quality"
    )
  if not 0 <= quality <= 100 or resize_small < 0:
    raise ValueError(
      f"quality {quality} and resize_small {resize_small}: expected a quality "
      "of 1 to 100 and a positive shorter side; 0 keeps images unchanged"
    )

  def encode(image: bytes | np.ndarray) -> tuple[bytes, str]:
    reason = ""
    if isinstance(image, bytes):
      reason, size = _look(image, encoding)
      larger = resize_small and (size is None or min(size) > resize_small)
      if not (reason or larger or quality):
        return image, ""
      image = decoding.decode(image, channels=channels)
    return _compress(_reduced(image, resize_small), encoding, quality), reason

  return encode


def png(image: np.ndarray) -> bytes:
  """(h, w) or (h, w, channels) uint8 as a PNG file, without loss."""
  return _compress(image if image.ndim == 3 else image[..., None], "png", 0)


def _look(content: bytes, encoding: str) -> tuple[str, tuple | None]:
  """The reason why a file must be repaired, and the size of its image if known.

  Raises:
    UnreadableImage: the file has an unexpected end and cannot be decoded.
  """
  kind = formats.recognise(content)
  try:
    found, mode, size = pillow.look(content, kind=kind or "")
  except Exception:  # Pillow does not document its exceptions
    decoding.decode(content, channels=3)
    return "was of an unusual kind", None
  if found not in _FORMATS[encoding]:
    return f"was {found}", size
  if encoding == "jpeg" and mode not in ("L", "RGB"):
    return f"was {mode}", size
  # Some cameras write data after the end. A file without an end is damaged.
  if not content.endswith(_ENDS[encoding]):
    decoding.decode(content, channels=3)
  return "", size


def _reduced(image: np.ndarray, small: int) -> np.ndarray:
  height, width = image.shape[:2]
  if not small or min(height, width) <= small:
    return image
  scale = small / min(height, width)
  sides = (max(small, round(side * scale)) for side in (height, width))
  return resizing.make_resizer("area")(image, *sides)


def _compress(image: np.ndarray, encoding: str, quality: int) -> bytes:
  import cv2

  if image.shape[2] == 3:
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
  options = []
  if encoding == "jpeg":
    options = [cv2.IMWRITE_JPEG_QUALITY, quality or DEFAULT_QUALITY]
  _, content = cv2.imencode(f".{encoding}", image, options)
  return content.tobytes()
