"""Turns the content of an image file into uint8 pixels.

What comes out is (h, w, channels) uint8, RGB or grey:

- The EXIF orientation is applied: pixels are as a viewer shows them.
- 16 bits are scaled to 8, not clipped. Palettes are resolved, CMYK converted.
- Alpha is dropped, not blended, as torchvision's and TensorFlow's loaders do,
  so that published numbers can be reproduced.
- Of an animation the first frame counts.

OpenCV decodes whole JPEG and PNG files. All others go to Pillow, slower but
strict: it refuses truncated files, whose missing part other decoders paint
grey. Damage in the middle of a JPEG cannot be detected, it has no checksum.
"""

import io

import numpy as np


class UnreadableImage(ValueError):
  """An image that cannot be decoded; the message says why."""


def decode(encoded: bytes, *, channels: int) -> np.ndarray:
  """Decodes one image.

  Args:
    encoded: the content of a JPEG, PNG, GIF, BMP, WebP, TIFF or PNM file.
    channels: 3 for RGB, 1 for grey.

  Returns:
    (h, w, channels) uint8.

  Raises:
    UnreadableImage: no image, truncated or damaged.
    ValueError: `channels` is neither 1 nor 3.
  """
  if channels not in (1, 3):
    raise ValueError(
      f"images decode to 3 channels (RGB) or 1 (grey), not {channels}; arrays "
      "of other depths can be given as an .npz"
    )
  image = _decode_opencv(encoded, channels) if _is_whole(encoded) else None
  if image is None:
    image = _decode_pillow(encoded, channels)
  return image.reshape(*image.shape[:2], channels)


def _is_whole(encoded: bytes) -> bool:
  """Whether this is a JPEG or PNG that ends as it should.

  What has bytes after its end is not taken for whole: Pillow then decides.
  """
  if encoded.startswith(b"\xff\xd8"):
    return encoded.endswith(b"\xff\xd9")
  return encoded.startswith(b"\x89PNG") and encoded[-8:-4] == b"IEND"


def _decode_opencv(encoded: bytes, channels: int) -> np.ndarray | None:
  """(h, w[, 3]) uint8, or None if OpenCV cannot."""
  import cv2

  colour = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
  pixels = np.frombuffer(encoded, np.uint8)
  try:
    image = cv2.imdecode(pixels, colour | cv2.IMREAD_ANYDEPTH)
  except cv2.error:
    return None
  if image is not None and image.dtype == np.uint16:
    image = _to_8_bits(image)
  return image if image is None or image.dtype == np.uint8 else None


def _decode_pillow(encoded: bytes, channels: int) -> np.ndarray:
  """(h, w[, 3]) uint8; raises UnreadableImage."""
  from PIL import Image, ImageOps

  try:
    with Image.open(io.BytesIO(encoded)) as opened:
      image = ImageOps.exif_transpose(opened)
      if image.mode.startswith("I"):
        sixteen = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(_to_8_bits(sixteen))
      if "transparency" in image.info:
        image = image.convert("RGBA")
      return np.array(image.convert("RGB" if channels == 3 else "L"))
  except Image.UnidentifiedImageError as error:
    start = encoded[:8].hex(" ") or "nothing"
    raise UnreadableImage(
      f"not an image: {len(encoded)} bytes that begin with {start}"
    ) from error
  # Pillow's plugins raise all of these on damaged files.
  except (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    Image.DecompressionBombError,
  ) as error:
    raise UnreadableImage(str(error) or type(error).__name__) from error


def _to_8_bits(image: np.ndarray) -> np.ndarray:
  """Maps 0..65535 to 0..255, rounded; 65535 / 255 is exactly 257."""
  return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
