"""Images that cannot be read, and how large one may be."""

# Pixels of one image: more than the largest cameras have (200 million), 0.75
# GB in RGB. A file of a few hundred bytes can claim four thousand million.
MAX_PIXELS = 250_000_000


class UnreadableImage(ValueError):
  """An image that cannot be decoded; the message says why."""


def check_size(height: int, width: int, *, max_pixels: int) -> None:
  """Refuses an image that would have too many pixels.

  Raises:
    UnreadableImage: more than `max_pixels`.
  """
  if height * width > max_pixels:
    raise UnreadableImage(
      f"{width}x{height} pixels are {height * width:,}, more than "
      f"data.max_pixels={max_pixels:,}; raise it if the image is what it "
      "should be"
    )


def is_of_image(error: Exception) -> bool:
  """Whether an error of decoding and transforming is a matter of the image.

  Those of codecs are, and what OpenCV refuses for an image of odd size, and
  want of memory; not what a config has made wrong for all images.
  """
  of_opencv = type(error).__module__.partition(".")[0] == "cv2"
  return isinstance(error, UnreadableImage | MemoryError) or of_opencv


def reason_of(error: Exception) -> str | None:
  """Why one image of several has no result; None where it is not its fault."""
  if isinstance(error, OSError | ValueError) or is_of_image(error):
    return str(from_failure(error))
  return None


def from_failure(error: Exception) -> UnreadableImage:
  """The failure of a codec as the reason why an image cannot be read."""
  if isinstance(error, UnreadableImage):
    return error
  if isinstance(error, MemoryError):
    return UnreadableImage("it needs more memory than there is")
  # Not the number and the path of an OSError: who says it, names the image.
  words = getattr(error, "strerror", None) or str(error)
  kind, text = type(error).__name__, " ".join(words.split())
  telling = isinstance(error, OSError | ValueError | SyntaxError)
  return UnreadableImage(text if telling and text else f"{kind}: {text}")
