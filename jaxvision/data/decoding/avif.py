"""AVIF files without EXIF, which Pillow cannot open where it is damaged."""


def without_exif(encoded: bytes) -> bytes:
  """The same file, in whose list of items (iinf) none is EXIF any longer.

  Their type becomes "free", which readers leave alone (ISO/IEC 14496-12). EXIF
  does not say how an AVIF lies: the boxes irot and imir do.
  """
  at = encoded.find(b"iinf")
  if at < 4:
    return encoded
  end = at - 4 + int.from_bytes(encoded[at - 4 : at])
  items = encoded[at:end].replace(b"Exif", b"free")
  return encoded[:at] + items + encoded[at + len(items) :]
