"""AVIF files without EXIF: Pillow cannot open files with damaged EXIF."""


def without_exif(encoded: bytes) -> bytes:
  """Returns the same file without EXIF items in its item list (iinf).

  The type of EXIF items is changed to "free", which readers ignore (ISO/IEC
  14496-12). The orientation of an AVIF is not in EXIF but in the boxes irot and
  imir.
  """
  at = encoded.find(b"iinf")
  if at < 4:
    return encoded
  end = at - 4 + int.from_bytes(encoded[at - 4 : at])
  items = encoded[at:end].replace(b"Exif", b"free")
  return encoded[:at] + items + encoded[at + len(items) :]
