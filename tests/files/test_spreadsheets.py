"""CSV without formulas."""

import csv
import io

import pytest

from jaxvision.files import spreadsheets


@pytest.mark.parametrize(
  ("value", "cell"),
  [
    ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("+1+cmd|'/C calc'!A0", "'+1+cmd|'/C calc'!A0"),
    ("-2+3", "'-2+3"),
    (" =1", "' =1"),
    ("\t=1", "\\t=1"),
    ("-1.5e-3", "-1.5e-3"),
    ("+7", "+7"),
    (-1.5, "-1.5"),
    (None, ""),
    ("a,b", '"a,b"'),
    ("two\nlines\x1b", "two\\nlines\\x1b"),
    ("(0.9, 0.95)", '"(0.9, 0.95)"'),
  ],
)
def test_no_cell_is_a_formula(value, cell):
  assert spreadsheets.to_csv([[value, 1]]) == f"{cell},1\n"


def test_kept_characters_are_quoted():
  rows = [['two\nlines "x"', "\n=1", "red\x1b"]]
  text = spreadsheets.to_csv(rows, keep="\n")
  assert text == '"two\nlines ""x""","\'\n=1",red\\x1b\n'
  assert next(csv.reader(io.StringIO(text, newline=""))) == [
    'two\nlines "x"',
    "'\n=1",
    r"red\x1b",
  ]
