"""Decoding of image files to uint8 pixels.

The result is (h, w, channels) uint8, RGB or grey:

- Formats are recognised by content. Only the formats in formats.py are decoded.
- The orientation is applied, as in image viewers. All formats use the same
  reader, see orientation.py.
- 16-bit values are scaled to 8 bits, not clipped; pillow.py has a rule for each
  mode.
- Alpha is dropped, not blended, as in the loaders of torchvision and
  TensorFlow, so that published numbers can be reproduced.
- Grey is the luma of the stored values (pixels.py); a JPEG stores it. Gamma,
  chromaticity and colour profiles have no effect. Codecs do not receive
  metadata, so damaged metadata has no effect either.
- The first frame of an animation is decoded.
- Any exception of a codec, also a lack of memory, makes the image unreadable. A
  header with more than `max_pixels` pixels is rejected before a codec reads the
  file.

simplejpeg decodes complete JPEG files, OpenCV complete PNG files, and Pillow
all other files. Damage in the middle of a JPEG cannot be detected, because JPEG
has no checksum.

If a JPEG is resampled after decoding, only the necessary part is decoded, see
jpeg.py. Rows below the region are not decoded; this does not change the result.
If two or more pixels in each direction become one, the image is decoded at a
half, quarter or eighth of its size. This is smoother than decoding all pixels
and sampling some of them, and it shifts the region by less than a pixel of the
result. Methods that promise exact pixels ("nearest", "..._antialiased") do not
use it.
"""

import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from jaxvision.data.decoding import (
  avif,
  formats,
  image_files,
  jpeg,
  orientation,
  pillow,
  pixels,
  png,
  resizing,
  tiff,
  unreadable,
  webp,
)

UnreadableImage = unreadable.UnreadableImage
_MAX_SAMPLES = 6  # values per pixel of a TIFF that Pillow can read
T = TypeVar("T")


def decode(
  encoded: bytes,
  *,
  channels: int,
  max_pixels: int = unreadable.MAX_PIXELS,
) -> np.ndarray:
  """Decodes one image.

  Args:
    encoded: the content of a JPEG, PNG, GIF, BMP, WebP, TIFF, PNM or AVIF file.
    channels: 3 for RGB, 1 for grey.
    max_pixels: maximum number of pixels.

  Returns:
    (h, w, channels) uint8.

  Raises:
    UnreadableImage: the content is not an image, is truncated or damaged, or
      has too many pixels.
    ValueError: `channels` is neither 1 nor 3.
  """
  _check_channels(channels)
  return _call_codec(_decode, encoded, channels, max_pixels)


def decode_resampled(
  encoded: bytes,
  resampling: resizing.Resampling,
  *,
  rng: np.random.Generator | None,
  channels: int,
  max_pixels: int = unreadable.MAX_PIXELS,
) -> np.ndarray:
  """Decodes and resamples a region of an image.

  Args:
    encoded: as for `decode`.
    resampling: a transform. It draws the same random numbers from `rng` as for
      the decoded image, because it receives the size from the header.
    rng: of the resampling; None if the resampling is not random.
    channels: 3 for RGB, 1 for grey.
    max_pixels: maximum number of pixels of the image.

  Returns:
    (height, width, channels) uint8.

  Raises:
    UnreadableImage, ValueError: as `decode`, or from the resampling.
  """
  _check_channels(channels)
  header, image = _call_codec(_jpeg_header, encoded, max_pixels), None
  if header is not None and header.common:
    region = resampling.region(rng, header.shape)
    divisor = resizing.reduction(region, method=resampling.method)
    image = _call_codec(
      jpeg.decode,
      encoded,
      header,
      channels=channels,
      divisor=divisor,
      bottom=region.top + region.height,
    )
  if image is None:
    image = decode(encoded, channels=channels, max_pixels=max_pixels)
    return resampling(rng, image)
  return resizing.resample(
    image, region, method=resampling.method, divisor=divisor
  )


def read_image(
  path: str | os.PathLike, *, channels: int, max_pixels: int
) -> np.ndarray:
  """Reads and decodes an image file.

  Args:
    path: of the file.
    channels: of the result, 3 or 1.
    max_pixels: maximum number of pixels.

  Raises:
    OSError: the file cannot be read, or is not a regular file.
    UnreadableImage, ValueError: as `decode`.
  """
  return decode(
    image_files.read(path), channels=channels, max_pixels=max_pixels
  )


def is_jpeg(encoded: bytes) -> bool:
  """Whether `decode_resampled` can skip a part of the decoding."""
  return encoded.startswith(b"\xff\xd8\xff")


def _check_channels(channels: int) -> None:
  if channels not in (1, 3):
    raise ValueError(
      f"images decode to 3 channels (RGB) or 1 (grey), not {channels}; give "
      "arrays with another number of channels as an .npz file"
    )


def _call_codec(codec: Callable[..., T], *arguments, **options) -> T:
  """Calls a codec; any exception means that the image is unreadable."""
  try:
    return codec(*arguments, **options)
  except Exception as error:  # codecs do not document their exceptions
    raise unreadable.from_failure(error) from error


def _jpeg_header(encoded: bytes, max_pixels: int) -> jpeg.Header | None:
  """The header of a JPEG of allowed size; None for other formats."""
  if not is_jpeg(encoded):
    return None
  header = jpeg.read_header(encoded)
  if header is not None:
    unreadable.check_size(header.height, header.width, max_pixels=max_pixels)
    jpeg.check_work(encoded, header, max_pixels=max_pixels)
  return header


def _decode(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  kind = formats.recognise(encoded)
  if kind is None:
    raise UnreadableImage(formats.describe_other(encoded))
  if kind in _DECODERS:
    return _DECODERS[kind](encoded, channels, max_pixels)
  return _with_pillow(encoded, kind, channels, max_pixels)


def _decode_jpeg(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  header, image = _jpeg_header(encoded, max_pixels), None
  if header is None:
    return _with_pillow(encoded, "JPEG", channels, max_pixels)
  if header.common:
    image = jpeg.decode(encoded, header, channels=channels)
  if image is not None:
    return image
  bare = jpeg.without_metadata(encoded, header)
  stored = header.orientation
  return _with_pillow(bare, "JPEG", channels, max_pixels, stored=stored)


def _decode_png(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  header = png.read_header(encoded)
  unreadable.check_size(header.height, header.width, max_pixels=max_pixels)
  png.check_length(encoded)
  image = png.decode(header, channels=channels)
  if image is not None:
    return image
  stored = header.orientation
  return _with_pillow(header.bare, "PNG", channels, max_pixels, stored=stored)


def _decode_webp(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  header = webp.read_header(encoded)
  unreadable.check_size(header.height, header.width, max_pixels=max_pixels)
  stored = header.orientation
  return _with_pillow(encoded, "WebP", channels, max_pixels, stored=stored)


def _decode_tiff(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  directory = tiff.read(encoded)
  if directory is None:
    raise UnreadableImage("a TIFF without a directory, or truncated")
  size = directory.number(tiff.HEIGHT), directory.number(tiff.WIDTH)
  unreadable.check_size(*(int(n or 0) for n in size), max_pixels=max_pixels)
  if (samples := directory.number(tiff.SAMPLES) or 1) > _MAX_SAMPLES:
    raise UnreadableImage(
      f"it has {samples:g} values per pixel, more than {_MAX_SAMPLES}, of "
      "which the first three are red, green and blue"
    )
  bits = directory.number(tiff.BITS) or 1
  if directory.number(tiff.SAMPLE_FORMAT) == tiff.SIGNED and bits <= 8:
    # Pillow reads them as unsigned values.
    raise UnreadableImage(
      f"its pixels are signed integers of {bits:g} bits, and the file does not "
      "define the white value; store it with 8 or 16 bits, unsigned"
    )
  there, needed = tiff.parts(directory)
  if there < needed:
    raise UnreadableImage(
      f"it has {there} of the {needed} strips or tiles of its size"
    )
  return _with_pillow(
    tiff.without_metadata(encoded, directory),
    "TIFF",
    channels,
    max_pixels,
    stored=orientation.of_directory(directory, xmp=directory.text(tiff.XMP)),
    directory=directory,
  )


def _decode_avif(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  try:
    return _with_pillow(encoded, "AVIF", channels, max_pixels)
  except UnreadableImage:
    raise
  except Exception:
    bare = avif.without_exif(encoded)
    if bare == encoded:
      raise
    return _with_pillow(bare, "AVIF", channels, max_pixels)


def _with_pillow(
  bare: bytes,
  kind: str,
  channels: int,
  max_pixels: int,
  *,
  stored: int = orientation.UPRIGHT,
  directory: tiff.Directory | None = None,
) -> np.ndarray:
  image, own = pillow.decode(
    bare,
    kind=kind,
    channels=channels,
    max_pixels=max_pixels,
    directory=directory,
  )
  stored = own if kind == "AVIF" else stored
  return pixels.finish(image, channels=channels, orientation=stored)


_DECODERS = {
  "JPEG": _decode_jpeg,
  "PNG": _decode_png,
  "WebP": _decode_webp,
  "TIFF": _decode_tiff,
  "AVIF": _decode_avif,
}
