"""Plain text stays plain text wherever it goes; tables sort by value."""

import pytest

from jaxvision.analysis import page

EVIL = "<script>\"'&amp;</script>"


@pytest.mark.parametrize(
  "piece",
  [
    page.escape(EVIL),
    page.section(EVIL, content="x", note=EVIL),
    page.navigation([EVIL]),
    page.figure("x", title=EVIL),
    page.legend([(EVIL, "train", "solid")]),
    page.tiles({EVIL: EVIL}),
    page.table({EVIL: str}, [[EVIL]], links=[EVIL], sortable=True),
  ],
)
def test_text_is_escaped(piece):
  assert "&lt;script&gt;" in piece
  assert "<script" not in piece
  assert "&amp;amp;" in piece


def test_document_escapes_its_title_only():
  document = page.document(EVIL, body="<p>body</p>")
  assert "<title>&lt;script&gt;" in document
  assert "<p>body</p>" in document


def test_section_without_content_is_left_out():
  assert page.section("title", content="", note="note") == ""


def test_numbers_carry_their_value_for_sorting():
  table = page.table({"n": "{:.1f}".format}, [[0.25]], sortable=True)
  assert '<td class="number" data-value="0.25">0.2</td>' in table


def test_row_that_does_not_fit_the_columns_is_an_error():
  with pytest.raises(ValueError, match="shorter"):
    page.table({"a": str}, [["x", "y"]])
