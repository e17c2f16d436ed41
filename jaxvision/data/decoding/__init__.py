"""Decoding of image files to uint8 pixels: JPEG, PNG, WebP, TIFF and others."""

from jaxvision.data.decoding.image import (
  UnreadableImage,
  decode,
  decode_resampled,
  is_jpeg,
  read_image,
)
from jaxvision.data.decoding.masks import as_mask, decode_mask

__all__ = [
  "UnreadableImage",
  "as_mask",
  "decode",
  "decode_mask",
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
