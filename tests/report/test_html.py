"""Plain text is escaped everywhere; tables sort by value."""

import pytest

from jaxvision.report import html

EVIL = "<script>\"'&amp;</script>"


@pytest.mark.parametrize(
  "piece",
  [
    html.escape(EVIL),
    html.section(EVIL, content="x", note=EVIL),
    html.sections([(EVIL, "x", EVIL)]),
    html.figure("x", title=EVIL),
    html.legend([(EVIL, "train", "solid")]),
    html.tiles({EVIL: EVIL}),
    html.table({EVIL: str}, [[EVIL]], links=[EVIL], sortable=True),
  ],
)
def test_text_is_escaped(piece):
  assert "&lt;script&gt;" in piece
  assert "<script" not in piece
  assert "&amp;amp;" in piece


def test_document_escapes_its_title_only():
  document = html.document(EVIL, body="<p>body</p>")
  assert "<title>&lt;script&gt;" in document
  assert "<p>body</p>" in document


def test_section_without_content_is_left_out():
  assert html.section("title", content="", note="note") == ""


def test_numbers_carry_their_value_for_sorting():
  table = html.table({"n": "{:.1f}".format}, [[0.25]], sortable=True)
  assert '<td class="number" data-value="0.25">0.2</td>' in table


def test_row_that_does_not_fit_the_columns_is_an_error():
  with pytest.raises(ValueError, match="shorter"):
    html.table({"a": str}, [["x", "y"]])
