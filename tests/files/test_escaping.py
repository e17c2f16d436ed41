"""Tests of jaxvision.files.escaping: control characters are escaped."""

import os
import pathlib
import unicodedata

import pytest

from jaxvision import files


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ("plain name.png", "plain name.png"),
    ("Ölkännchen 油 👩‍🚀", "Ölkännchen 油 👩‍🚀"),
    ("a\nb\tc\rd", r"a\nb\tc\rd"),
    ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
    ("\x9b31m\x7f\0", r"\x9b31m\x7f\x00"),
    ("gpj\u202eexe", r"gpj\u202eexe"),
    ("\u2066a\u2069\u200f\ufeff\u2028", r"\u2066a\u2069\u200f\ufeff\u2028"),
    ("\U000e0041", r"\U000e0041"),
    (os.fsdecode(b"\xff\xe9.png"), r"\xff\xe9.png"),
    (b"\xff\x1b", r"\xff\x1b"),
    (pathlib.Path("a\n"), r"a\n"),
    (12, "12"),
  ],
)
def test_unprintable_characters_are_escaped(text, expected):
  assert files.printable(text) == expected


def test_no_control_character_is_printable():
  for code in (
    *range(0x3000),
    *range(0xD800, 0x10000),
    *range(0xE0000, 0xE0100),
  ):
    shown = files.printable(chr(code))
    if unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp"):
      assert shown.isascii()
      assert shown.isprintable()
    shown.encode()


def test_lines_may_be_kept():
  assert files.printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
