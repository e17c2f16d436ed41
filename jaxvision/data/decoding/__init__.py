"""Image files into uint8 pixels: JPEG, PNG, WebP, AVIF, TIFF and others."""

from jaxvision.data.decoding.image import (
  UnreadableImage,
  decode,
  decode_resampled,
  is_jpeg,
  read_image,
)

__all__ = [
  "UnreadableImage",
  "decode",
  "decode_resampled",
  "formats",
  "image_files",
  "is_jpeg",
  "pillow",
  "profiles",
  "read_image",
  "resizing",
  "unreadable",
]
