"""Unreadable images, and the maximum size of an image."""

# Maximum number of pixels of one image: more than the largest cameras (200
# million), 0.75 GB in RGB. The header of a file of a few hundred bytes can
# state 4 billion pixels.
MAX_PIXELS = 250_000_000


class UnreadableImage(ValueError):
  """An image that cannot be decoded; the message has the reason."""


def check_size(height: int, width: int, *, max_pixels: int) -> None:
  """Rejects an image with too many pixels.

  Raises:
    UnreadableImage: more than `max_pixels`.
  """
  if height * width > max_pixels:
    raise UnreadableImage(
      f"{width}x{height} pixels are {height * width:,}, more than "
      f"data.max_pixels={max_pixels:,}; increase data.max_pixels if the image "
      "is correct"
    )


def is_of_image(error: Exception) -> bool:
  """Whether an error of decoding and transforming is caused by the image.

  True for errors of codecs, for errors of OpenCV with an image of unusual size,
  and for a lack of memory. False for errors in the config that affect all
  images.
  """
  of_opencv = type(error).__module__.partition(".")[0] == "cv2"
  return isinstance(error, UnreadableImage | MemoryError) or of_opencv


def reason_of(error: Exception) -> str | None:
  """The reason of a failed image; None if the image is not the cause."""
  if isinstance(error, OSError | ValueError) or is_of_image(error):
    return str(from_failure(error))
  return None


def from_failure(error: Exception) -> UnreadableImage:
  """Converts the exception of a codec to the reason of an unreadable image."""
  if isinstance(error, UnreadableImage):
    return error
  if isinstance(error, MemoryError):
    return UnreadableImage("it needs more memory than is available")
  # Without the number and the path of an OSError: the caller names the image.
  words = getattr(error, "strerror", None) or str(error)
  kind, text = type(error).__name__, " ".join(words.split())
  telling = isinstance(error, OSError | ValueError | SyntaxError)
  return UnreadableImage(text if telling and text else f"{kind}: {text}")
