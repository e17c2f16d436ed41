"""Turns the content of an image file into uint8 pixels.

What comes out is (h, w, channels) uint8, RGB or grey:

- Formats are recognised by content, and only those of formats.py are decoded.
- The orientation is applied: pixels are as a viewer shows them. One reading
  for all formats, see orientation.py.
- 16 bits are scaled to 8, not clipped; pillow.py has a rule for every mode.
- Alpha is dropped, not blended, as torchvision's and TensorFlow's loaders do,
  so that published numbers can be reproduced.
- Grey is the luma of the values as they are stored (pixels.py); a JPEG stores
  it. Gamma, chromaticity and colour profiles change nothing: codecs do not get
  to see metadata, so that damage to them does no harm either.
- Of an animation the first frame counts.
- Whatever a codec raises, also for want of memory, makes the image unreadable.
  What claims more pixels than `max_pixels` is refused before any codec sees it.

simplejpeg decodes whole JPEG files and OpenCV whole PNG files. All others go to
Pillow. Damage in the middle of a JPEG cannot be detected, it has no checksum.

Of a JPEG that is resampled first, only what is needed is decoded, see jpeg.py:
the rows down to the end of the part, which changes no bit of the result; and,
where two or more pixels in each direction become one, at a half, quarter or
eighth of its size. That is smoother than decoding the whole and sampling some
of its pixels, and moves the part by less than a pixel of the result. The
methods that promise exact pixels ("nearest", "..._antialiased") do without it.
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
_MAX_SAMPLES = 6  # values of a pixel of TIFF; Pillow reads no more
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
    max_pixels: that it may have.

  Returns:
    (h, w, channels) uint8.

  Raises:
    UnreadableImage: no image, truncated or damaged, or too large.
    ValueError: `channels` is neither 1 nor 3.
  """
  _check_channels(channels)
  return _guarded(_decode, encoded, channels, max_pixels)


def decode_resampled(
  encoded: bytes,
  resampling: resizing.Resampling,
  *,
  rng: np.random.Generator | None,
  channels: int,
  max_pixels: int = unreadable.MAX_PIXELS,
) -> np.ndarray:
  """Decodes what a resampling shows of an image.

  Args:
    encoded: as for `decode`.
    resampling: a transform. It draws the same from `rng` as for the decoded
      image, as it is told the size that the header states.
    rng: of the resampling; may be None for one that is not random.
    channels: 3 for RGB, 1 for grey.
    max_pixels: that the image may have.

  Returns:
    (height, width, channels) uint8.

  Raises:
    UnreadableImage, ValueError: as `decode`, or as the resampling does.
  """
  _check_channels(channels)
  header, image = _guarded(_jpeg_header, encoded, max_pixels), None
  if header is not None and header.common:
    region = resampling.region(rng, header.shape)
    divisor = resizing.reduction(region, method=resampling.method)
    image = _guarded(
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
    max_pixels: that the image may have.

  Raises:
    OSError: it cannot be read, or is no regular file.
    UnreadableImage, ValueError: as `decode`.
  """
  return decode(
    image_files.read(path), channels=channels, max_pixels=max_pixels
  )


def is_jpeg(encoded: bytes) -> bool:
  """Whether resampling may leave out a part of the decoding."""
  return encoded.startswith(b"\xff\xd8\xff")


def _check_channels(channels: int) -> None:
  if channels not in (1, 3):
    raise ValueError(
      f"images decode to 3 channels (RGB) or 1 (grey), not {channels}; arrays "
      "of other depths can be given as an .npz"
    )


def _guarded(codec: Callable[..., T], *arguments, **options) -> T:
  """What a codec returns; whatever it raises, the image is unreadable."""
  try:
    return codec(*arguments, **options)
  except Exception as error:  # there is no list of what codecs raise
    raise unreadable.from_failure(error) from error


def _jpeg_header(encoded: bytes, max_pixels: int) -> jpeg.Header | None:
  """The header of a JPEG that is not too large; None of everything else."""
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
  lying = header.orientation
  return _with_pillow(bare, "JPEG", channels, max_pixels, lying=lying)


def _decode_png(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  header = png.read_header(encoded)
  unreadable.check_size(header.height, header.width, max_pixels=max_pixels)
  png.check_length(encoded)
  image = png.decode(header, channels=channels)
  if image is not None:
    return image
  lying = header.orientation
  return _with_pillow(header.bare, "PNG", channels, max_pixels, lying=lying)


def _decode_webp(encoded: bytes, channels: int, max_pixels: int) -> np.ndarray:
  header = webp.read_header(encoded)
  unreadable.check_size(header.height, header.width, max_pixels=max_pixels)
  lying = header.orientation
  return _with_pillow(encoded, "WebP", channels, max_pixels, lying=lying)


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
    # Pillow takes them for unsigned ones.
    raise UnreadableImage(
      f"its pixels are signed integers of {bits:g} bits, and it does not say "
      "which one is white; store it with 8 or 16 bits, unsigned"
    )
  there, needed = tiff.parts(directory)
  if there < needed:
    raise UnreadableImage(
      f"it has {there} of the {needed} strips or tiles that its size needs"
    )
  return _with_pillow(
    tiff.without_metadata(encoded, directory),
    "TIFF",
    channels,
    max_pixels,
    lying=orientation.of_directory(directory, xmp=directory.text(tiff.XMP)),
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
  lying: int = orientation.UPRIGHT,
  directory: tiff.Directory | None = None,
) -> np.ndarray:
  image, own = pillow.decode(
    bare,
    kind=kind,
    channels=channels,
    max_pixels=max_pixels,
    directory=directory,
  )
  lying = own if kind == "AVIF" else lying
  return pixels.finish(image, channels=channels, orientation=lying)


_DECODERS = {
  "JPEG": _decode_jpeg,
  "PNG": _decode_png,
  "WebP": _decode_webp,
  "TIFF": _decode_tiff,
  "AVIF": _decode_avif,
}
