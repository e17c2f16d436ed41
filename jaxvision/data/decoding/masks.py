"""Decoding of masks: PNG files with one value of 8 bits for each pixel.

Values are kept as they are: of a palette the indices, which are the classes
(PASCAL VOC), of grey the numbers (TFDS), 0 and 255 of 1 bit. Alpha, colour and
16 bits are refused: which number of them is meant is not known.
"""

import numpy as np

from jaxvision.data.decoding import formats, pillow, png, unreadable

_GREY, _PALETTE = 0, 3  # colour types of PNG


def decode_mask(
  encoded: bytes, *, max_pixels: int = unreadable.MAX_PIXELS
) -> np.ndarray:
  """Decodes a mask.

  Args:
    encoded: the content of a PNG file, grey or of a palette.
    max_pixels: maximum number of pixels.

  Returns:
    (h, w, 1) uint8.

  Raises:
    UnreadableImage: the content is another file, is truncated or damaged, or
      has too many pixels.
  """
  try:
    return _decode(encoded, max_pixels)
  except Exception as error:  # codecs do not document their exceptions
    raise unreadable.UnreadableImage(
      f"a mask that cannot be read: {unreadable.from_failure(error)}"
    ) from error


def as_mask(
  value: bytes | np.ndarray, *, max_pixels: int = unreadable.MAX_PIXELS
) -> np.ndarray:
  """Returns the array of a mask as a `dataset.Field` reads it.

  Raises:
    UnreadableImage: as `decode_mask`; arrays are not checked.
  """
  if isinstance(value, bytes):
    return decode_mask(value, max_pixels=max_pixels)
  return np.asarray(value)


def _decode(encoded: bytes, max_pixels: int) -> np.ndarray:
  if formats.recognise(encoded) != "PNG":
    raise unreadable.UnreadableImage("it is no PNG; store masks without loss")
  header = png.read_header(encoded)
  unreadable.check_size(header.height, header.width, max_pixels=max_pixels)
  png.check_length(encoded)
  bits, colour = encoded[24], encoded[25]
  if colour not in (_GREY, _PALETTE) or bits > 8:
    raise unreadable.UnreadableImage(
      f"a PNG of colour type {colour} with {bits} bits; expected grey (0) or a "
      "palette (3) with at most 8 bits"
    )
  return pillow.decode_values(header.bare, kind="PNG", max_pixels=max_pixels)
