"""TrueType fonts whose characters consist of rectangles."""

import io
from collections.abc import Mapping, Sequence

from fontTools import fontBuilder, ttLib
from fontTools.pens import ttGlyphPen
from fontTools.ttLib.tables import ttProgram

# Left, bottom, right and top above the base line, in units.
Box = tuple[int, int, int, int]

_NONE = ".notdef"  # what a font draws for characters that it has not


def ttf(characters: Mapping[str, Sequence[Box]], *, em: int) -> bytes:
  """A font in which a character is some rectangles.

  Absent characters are drawn as a square of half an em.

  Args:
    characters: character -> its rectangles, which do not overlap.
    em: units of an em; a unit is a pixel if the font has this size.
  """
  half = em // 2
  boxes = {_NONE: [(0, 0, half, half)]}
  boxes |= {f"u{ord(each):04X}": found for each, found in characters.items()}
  builder = fontBuilder.FontBuilder(em, isTTF=True)
  builder.setupGlyphOrder(list(boxes))
  builder.setupCharacterMap({ord(c): f"u{ord(c):04X}" for c in characters})
  builder.setupGlyf({name: _glyph(found) for name, found in boxes.items()})
  builder.setupHorizontalMetrics(dict.fromkeys(boxes, (em, 0)))
  builder.setupHorizontalHeader(ascent=em, descent=0)
  builder.setupNameTable({"familyName": "Rectangles", "styleName": "Regular"})
  builder.setupOS2()
  builder.setupPost()
  # A font with a program: FreeType does not move its edges by rules of its own.
  builder.font["fpgm"] = program = ttLib.newTable("fpgm")
  program.program = ttProgram.Program()
  program.program.fromAssembly(["PUSHB[ ]", "0", "POP[ ]"])
  file = io.BytesIO()
  builder.save(file)
  return file.getvalue()


def _glyph(boxes: Sequence[Box]):
  pen = ttGlyphPen.TTGlyphPen(None)
  for left, bottom, right, top in boxes:
    pen.moveTo((left, bottom))
    for corner in ((left, top), (right, top), (right, bottom)):
      pen.lineTo(corner)
    pen.closePath()
  return pen.glyph()
