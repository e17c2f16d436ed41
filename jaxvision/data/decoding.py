"""Turns the content of an image file into uint8 pixels.

What comes out is (h, w, channels) uint8, RGB or grey:

- The EXIF orientation is applied: pixels are as a viewer shows them.
- 16 bits are scaled to 8, not clipped. Palettes are resolved, CMYK converted.
- Alpha is dropped, not blended, as torchvision's and TensorFlow's loaders do,
  so that published numbers can be reproduced.
- Of an animation the first frame counts.

simplejpeg decodes whole JPEG files and OpenCV whole PNG files. All others go to
Pillow, slower but strict: it refuses truncated files, whose missing part other
decoders paint grey. Damage in the middle of a JPEG cannot be detected, it has
no checksum.

Of a JPEG that is resampled first, only what is needed is decoded, see jpeg.py:
the rows down to the end of the part, which changes no bit of the result; and,
where two or more pixels in each direction become one, at a half, quarter or
eighth of its size. That is smoother than decoding the whole and sampling some
of its pixels, and moves the part by less than a pixel of the result. The
methods that promise exact pixels ("nearest", "..._antialiased") do without it.
"""

import io

import numpy as np

from jaxvision.data import jpeg, resizing


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
  _check_channels(channels)
  header, image = jpeg.read_header(encoded), None
  if header is not None:
    image = jpeg.decode(encoded, header, channels=channels)
  if image is None and _is_whole(encoded):
    image = _decode_opencv(encoded, channels)
  if image is None:
    image = _decode_pillow(encoded, channels)
  return image.reshape(*image.shape[:2], channels)


def decode_resampled(
  encoded: bytes,
  resampling: resizing.Resampling,
  *,
  rng: np.random.Generator | None,
  channels: int,
) -> np.ndarray:
  """Decodes what a resampling shows of an image.

  Args:
    encoded: as for `decode`.
    resampling: a transform. It draws the same from `rng` as for the decoded
      image, as it is told the size that the header states.
    rng: of the resampling; may be None for one that is not random.
    channels: 3 for RGB, 1 for grey.

  Returns:
    (height, width, channels) uint8.

  Raises:
    UnreadableImage, ValueError: as `decode`, or as the resampling does.
  """
  _check_channels(channels)
  header, image = jpeg.read_header(encoded), None
  if header is not None:
    region = resampling.region(rng, header.shape)
    divisor = resizing.reduction(region, method=resampling.method)
    image = jpeg.decode(
      encoded,
      header,
      channels=channels,
      divisor=divisor,
      bottom=region.top + region.height,
    )
  if image is None:
    return resampling(rng, decode(encoded, channels=channels))
  return resizing.resample(
    image, region, method=resampling.method, divisor=divisor
  )


def is_jpeg(encoded: bytes) -> bool:
  """Whether resampling may leave out a part of the decoding."""
  return encoded.startswith(b"\xff\xd8")


def _check_channels(channels: int) -> None:
  if channels not in (1, 3):
    raise ValueError(
      f"images decode to 3 channels (RGB) or 1 (grey), not {channels}; arrays "
      "of other depths can be given as an .npz"
    )


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
