"""Text that is safe to show on a terminal."""

import os
import unicodedata

_SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}


# Format characters that ordinary words and emoji need: joiners, soft hyphen.
_KEPT = "\u00ad\u200c\u200d"


def printable(text: object, *, keep: str = "") -> str:
  r"""Returns text that no terminal obeys, on one line.

  Control characters (also those of ANSI sequences), marks that turn the
  direction of writing, invisible ones and line separators are escaped as in
  Python (`\n`, `\x1b`, `\u202e`); bytes that are no UTF-8 as `\xff`.

  Args:
    text: a name, a path, or anything with a text.
    keep: characters that stay, such as "\n\t" in messages of several lines.
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
  code = ord(character)
  if 0xDC80 <= code <= 0xDCFF:  # a byte that os.fsdecode could not decode
    return f"\\x{code - 0xDC00:02x}"
  if character in _SHORT:
    return _SHORT[character]
  if code < 0x100:
    return f"\\x{code:02x}"
  return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
