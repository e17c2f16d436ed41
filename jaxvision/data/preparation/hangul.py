"""Hangul: 2,350 syllables of Korean in 28 fonts, 28x28 grey pixels.

A class is a syllable, and its examples are fonts: many classes with few
examples each, as the characters and the writers of Omniglot. The syllables are
those of the standard KS X 1001, in its order. All fonts have all of them.

No class is in two splits. The first consonant of a syllable decides its split:
"test" has the last four consonants of the alphabet (k, t, p, h), "validation"
the one before them (c), and "train" the other fourteen. The labels of all
splits count the same 2,350 classes. A class has the Unicode name of its
syllable, such as "gag".

The fonts are in four packages of Debian. They are one of each design: bold
weights are left out, and also NanumGothicCoding, BMEuljiro10yearslater and
BMHANNA_11yrs_ttf, whose images correlate by more than 0.95 with those of
another font, and BMEuljirooraeorae, whose syllables cannot be read.

A syllable is drawn at 112 pixels for an em, white on black. Its ink is reduced
to 24 pixels for the longer side, by the mean over each pixel's area, and
centred. Another version of FreeType may draw a few grey levels otherwise.
"""

import io
import logging
import pathlib
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxvision.data.formats import refusal
from jaxvision.data.preparation import (
  archives,
  debian,
  encoding,
  in_memory,
  recipe,
)

_LOGGER = logging.getLogger(__name__)
# Package -> SHA-256, in Debian's folder pool/main/f.
_PACKAGES = {
  "fonts-alee/fonts-alee_13.3_all.deb": (
    "9d38eb6c2ff02864035d56d89a398288371891d2e7e20fb909f9ef18c0a23c54"
  ),
  "fonts-nanum/fonts-nanum_20200506-1_all.deb": (
    "5e86c346e6485b694e1f0ebd27132892fcf014d1b975de4fd21d1654ddf37043"
  ),
  "fonts-unfonts-extra/fonts-unfonts-extra_1.0.2-080608+dfsg-11_all.deb": (
    "2b86a0ac83702e7d5d2bf4739926110fcbaf871f1671261a31a990367155bd5f"
  ),
  "fonts-woowa-bm/fonts-woowa-bm_20211009-2_all.deb": (
    "926b0404d616a0b48c1443ee9077020d720ece1914e6dec09d9435ff0ea68fa6"
  ),
}
FONTS = (
  *("Bandal", "Bangwool", "Eunjin", "EunjinNakseo", "Guseul"),
  *("NanumBarunGothic", "NanumGothic", "NanumMyeongjo"),
  *("NanumSquareR", "NanumSquareRoundR"),
  *("UnJamoBatang", "UnJamoDotum", "UnJamoNovel", "UnJamoSora"),
  *("UnPen", "UnPenheulim", "UnPilgia", "UnShinmun"),
  *("UnTaza", "UnVada", "UnYetgul"),
  *("BMDOHYEON_ttf", "BMEULJIROTTF", "BMHANNAAir_ttf", "BMHANNAPro"),
  *("BMJUA_ttf", "BMKIRANGHAERANG-TTF", "BMYEONSUNG_ttf"),
)
# KS X 1001 as bytes of EUC-KR: the rows and cells of its syllables.
_ROWS, _CELLS = range(0xB0, 0xC9), range(0xA1, 0xFF)
SYLLABLES = tuple(
  bytes((row, cell)).decode("euc_kr") for row in _ROWS for cell in _CELLS
)
# Unicode orders syllables by their 19 first consonants, 588 of each.
_FIRST, _PER_CONSONANT = 0xAC00, 588
# Split -> one past its last consonant.
_ENDS = {"train": 14, "validation": 15, "test": 19}
_NO_CHARACTER = "\uffff"  # drawn as the sign of an absent character
_DRAWN, _LONGER, _SIDE = 112, 24, 28  # pixels
_COMPARED = 16  # pixels of an em that show whether a font has a character


def _load(
  files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  fonts = {}
  for package in files.values():
    archive = debian.unpacked(package, scratch=scratch)
    for member in archives.members(archive):
      if font := _font_of(pathlib.PurePosixPath(member.name)):
        fonts[font] = archives.read(member)
  return _splits(fonts)


def _load_folder(folder: pathlib.Path) -> recipe.Splits | None:
  """The syllables of unpacked or installed fonts, at any depth."""
  fonts = {
    font: path.read_bytes()
    for path in sorted(folder.rglob("*.ttf"))
    if (font := _font_of(path))
  }
  return _splits(fonts) if fonts else None


def _font_of(path: pathlib.PurePath) -> str | None:
  """The font of a file; None if it is not one of `FONTS`."""
  return path.stem if path.suffix == ".ttf" and path.stem in FONTS else None


def _splits(fonts: Mapping[str, bytes]) -> recipe.Splits:
  """The images of all syllables in all fonts.

  Args:
    fonts: font -> content of its file.
  """
  if absent := [font for font in FONTS if font not in fonts]:
    _LOGGER.warning("the source has no %s.ttf", ".ttf, ".join(absent))
  contents: dict[str, dict[str, bytes]] = {split: {} for split in _ENDS}
  labels: dict[str, list[int]] = {split: [] for split in _ENDS}
  for font in sorted(fonts):
    drawn = dict(_draw(font, fonts[font]))
    if lacking := len(SYLLABLES) - len(drawn):
      _LOGGER.warning(
        "%s.ttf lacks %d of %d syllables", font, lacking, len(SYLLABLES)
      )
    for label, image in drawn.items():
      split = _split_of(SYLLABLES[label])
      name = f"{font}_{_CLASS_NAMES[label]}.png"
      contents[split][name] = encoding.png(image)
      labels[split].append(label)
  return {
    split: in_memory.from_contents(
      contents[split],
      labels[split],
      name=HANGUL.name,
      split=split,
      class_names=_CLASS_NAMES,
    )
    for split in _ENDS
  }


def _split_of(syllable: str) -> str:
  consonant = (ord(syllable) - _FIRST) // _PER_CONSONANT
  return next(split for split, end in _ENDS.items() if consonant < end)


def _draw(name: str, content: bytes) -> Iterator[tuple[int, np.ndarray]]:
  """(label, image (28, 28) uint8) of each syllable that a font has.

  Raises:
    ValueError: the font is damaged.
  """
  from PIL import ImageFont

  what = f"the font {name}.ttf cannot be read"
  with refusal.naming(what, remedy="download its package again"):
    font = ImageFont.truetype(
      io.BytesIO(content), _DRAWN, layout_engine=ImageFont.Layout.BASIC
    )
    small = font.font_variant(size=_COMPARED)
    absent = bytes(small.getmask(_NO_CHARACTER))
    for label, syllable in enumerate(SYLLABLES):
      seen = bytes(small.getmask(syllable))
      if any(seen) and seen != absent:
        yield label, _centred(_ink(font, syllable))


def _ink(font: Any, text: str) -> Any:
  """A text as an image of Pillow in grey, white on black, without margins."""
  from PIL import Image, ImageDraw

  left, top, right, bottom = map(int, font.getbbox(text))
  image = Image.new("L", (right - left, bottom - top))
  ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
  return image.crop(image.getbbox())


def _centred(ink: Any) -> np.ndarray:
  """Ink of any size in the middle of an image (28, 28) uint8."""
  from PIL import Image

  scale = _LONGER / max(ink.size)
  width, height = (max(1, round(side * scale)) for side in ink.size)
  image = Image.new("L", (_SIDE, _SIDE))
  place = (_SIDE - width) // 2, (_SIDE - height) // 2
  image.paste(ink.resize((width, height), Image.Resampling.BOX), place)
  return np.asarray(image)


_CLASS_NAMES = tuple(
  unicodedata.name(each).removeprefix("HANGUL SYLLABLE ").lower()
  for each in SYLLABLES
)
HANGUL = recipe.Recipe(
  name="hangul",
  version="1.0.0",
  address="https://deb.debian.org/debian/pool/main/f",
  files=_PACKAGES,
  counts={"train": 49_784, "validation": 3_136, "test": 12_880},
  encoding="png",
  shape=(_SIDE, _SIDE, 1),
  load=_load,
  load_folder=_load_folder,
  stratified=True,
)
