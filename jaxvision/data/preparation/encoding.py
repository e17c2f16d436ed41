"""What of an image is stored: its own bytes wherever they can stay.

A JPEG file of 1 or 3 channels stays as it is, byte for byte. What is called
JPEG but is something else, or has the 4 channels of print (CMYK), which not
all decoders read alike, is encoded again. So is everything that is to be
smaller, or of another quality.
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
  """Returns encode(image) -> (its file, why it is not the one it came in).

  The image is the content of a file or a (h, w, channels) uint8 array. The
  reason is empty for a file that stays, for an array, and for what has been
  asked for; it is a few words, such as "was PNG", for what had to be repaired.
  encode raises UnreadableImage.

  Args:
    encoding: "jpeg" or "png".
    channels: of the images, if they must be encoded again.
    resize_small: pixels of the shorter side of images whose shorter side is
      longer; 0 leaves them all as they are. By the mean of the pixel's area.
    quality: of JPEG, 1 to 100, for all images; 0 encodes no image that can
      stay as it is, and others at 95.

  Raises:
    ValueError: a quality for PNG, or one out of its range.
  """
  if quality and encoding != "jpeg":
    raise ValueError(
      f"quality {quality} is for JPEG; these images are stored as "
      f"{encoding.upper()}, without loss: leave it out"
    )
  if not 0 <= quality <= 100 or resize_small < 0:
    raise ValueError(
      f"quality {quality} and resize_small {resize_small}: the quality must be "
      "1 to 100, the shorter side positive; 0 leaves them as they are"
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


def _look(content: bytes, encoding: str) -> tuple[str, tuple | None]:
  """Why a file cannot stay as it is, and the size of its image, if it has one.

  Raises:
    UnreadableImage: it does not end as it should, and cannot be decoded.
  """
  kind = formats.recognise(content)
  try:
    found, mode, size = pillow.look(content, kind=kind or "")
  except Exception:  # there is no list of what Pillow raises
    decoding.decode(content, channels=3)
    return "was of an unusual kind", None
  if found not in _FORMATS[encoding]:
    return f"was {found}", size
  if encoding == "jpeg" and mode not in ("L", "RGB"):
    return f"was {mode}", size
  # Some cameras write beyond the end; a file that stops before it is damaged.
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
