"""Image file formats, recognised by content.

Only the formats in `NAMES` are decoded; the file name does not matter. All
other formats are rejected before a codec reads them, because some codecs run
external programs (PostScript) or read other files.
"""

import re

# Name in this library -> name in Pillow.
NAMES = {
  "JPEG": "JPEG",
  "PNG": "PNG",
  "GIF": "GIF",
  "BMP": "BMP",
  "WebP": "WEBP",
  "TIFF": "TIFF",
  "PNM": "PPM",
  "AVIF": "AVIF",
}

_STARTS = (
  ("JPEG", rb"\xff\xd8\xff"),
  ("PNG", rb"\x89PNG\r\n\x1a\n"),
  ("GIF", rb"GIF8[79]a"),
  ("BMP", rb"BM"),
  ("WebP", rb"RIFF....WEBP"),
  ("TIFF", rb"II[*+]\0|MM\0[*+]"),
  ("PNM", rb"P[1-6f][\s#]"),
  ("AVIF", rb"....ftyp(?:avif|avis)"),
  # A general brand first; AVIF is among the compatible brands.
  ("AVIF", rb"....ftyp(?:mif1|msf1|miaf)....(?:....){0,12}?(?:avif|avis)"),
)
# Other formats that are found in files with image names, for messages.
_OTHERS = (
  ("EPS or PostScript", rb"%!PS|\xc5\xd0\xd3\xc6"),
  ("PDF", rb"%PDF"),
  ("SVG or XML", rb"\s*(?:<\?xml|<svg)"),
  ("an HTML page", rb"(?i:\s*(?:<!doctype html|<html))"),
  ("HEIC", rb"....ftyp(?:hei|hev|mif1|msf1)"),
  ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "),
  ("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
  ("Photoshop", rb"8BPS"),
  ("DDS", rb"DDS "),
  ("an icon", rb"\0\0[\x01\x02]\0"),
  ("WMF or EMF", rb"\xd7\xcd\xc6\x9a|\x01\0\0\0"),
  ("QOI", rb"qoif"),
  ("OpenEXR", rb"\x76\x2f\x31\x01"),
  ("a ZIP archive", rb"PK\x03\x04"),
  ("gzip", rb"\x1f\x8b"),
  ("a pointer of Git LFS", rb"version https://git-lfs"),
)
_COMPILED = [(name, re.compile(start, re.DOTALL)) for name, start in _STARTS]
_KNOWN = [(name, re.compile(start, re.DOTALL)) for name, start in _OTHERS]
# Number of bytes that is enough to recognise a format.
HEAD = 64


def recognise(content: bytes) -> str | None:
  """The format of a file, one of NAMES; None for any other content.

  Args:
    content: the file, or its first HEAD bytes.
  """
  if content.startswith(b"\xff\xd8\xff"):
    return "JPEG"
  for name, start in _COMPILED:
    if start.match(content):
      return name
  return None


def describe_other(content: bytes) -> str:
  """Describes a file that has none of the supported formats."""
  named = [name for name, start in _KNOWN if start.match(content)]
  if named:
    return (
      f"not an image in a supported format: this is {named[0]}; convert it "
      f"to one of {', '.join(NAMES)}"
    )
  start = content[:8].hex(" ") or "nothing"
  return f"not an image: {len(content)} bytes that begin with {start}"
