"""Escaping of text for the terminal."""

import os
import unicodedata

_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}


# Format characters that ordinary words and emoji need: joiners and the soft
# hyphen.
_KEPT = "\u00ad\u200c\u200d"


def printable(text: object, *, keep: str = "") -> str:
  r"""Returns text on one line that contains no terminal control sequences.

  Control characters (including those of ANSI sequences), marks that change the
  writing direction, invisible characters and line separators are escaped as in
  Python (`\n`, `\x1b`, `\u202e`). Bytes that are not UTF-8 are escaped as
  `\xff`.

  Args:
    text: a name, a path, or any object that `str` accepts.
    keep: characters that are not escaped, such as "\n\t" in messages of several
      lines.
  """
  text = os.fsdecode(text) if isinstance(text, bytes) else str(text)
  if text.isascii() and text.isprintable():
    return text
  return "".join(
    each if each in keep or not _is_control(each) else escape(each)
    for each in text
  )


def _is_control(character: str) -> bool:
  category = unicodedata.category(character)
  return category in ("Cc", "Cs", "Zl", "Zp") or (
    category == "Cf" and character not in _KEPT
  )


def escape(character: str) -> str:
  r"""Returns the escape sequence of a character: `\n`, `\x1b` or `\u202e`."""
  code = ord(character)
  if 0xDC80 <= code <= 0xDCFF:  # a byte that os.fsdecode could not decode
    return f"\\x{code - 0xDC00:02x}"
  if character in _SHORT:
    return _SHORT[character]
  if code < 0x100:
    return f"\\x{code:02x}"
  return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
