"""Contact sheets: many small pictures with titles in one PNG."""

import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxvision.files import suffixes

# Pixels of a picture's longer side.
_SIDE, _LARGE_SIDE, _CAPTIONED = 96, 160, 224
_GAP = 8
_LINE = 14  # pixels of a line of text below a picture
_CAPTION_LINE = 20  # pixels of a line of a caption
_HEADING = 32  # pixels above a sheet
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def write_contact_sheet(
  images: Sequence[np.ndarray],
  titles: Sequence[str],
  path: str | os.PathLike,
  *,
  columns: int = 8,
) -> pathlib.Path:
  """Writes a contact sheet, row by row in the given order.

  Small images are enlarged without smoothing, so that pixels are visible.
  Large images are reduced. Long titles end in an ellipsis.

  Args:
    images: (h, w, c) uint8 each, of any sizes; c is 3, or 4 with alpha. Other
      numbers of channels are shown as the grey mean.
    titles: one per image, any text.
    path: path of the PNG.
    columns: number of pictures per row.

  Returns:
    The path.

  Raises:
    ValueError: there are no images, or the number of titles differs.
  """
  suffixes.check(path, ".png", what="a picture in PNG")
  _draw(images, titles, columns=columns, side=_SIDE, lines=1).save(path, "PNG")
  return pathlib.Path(path)


def write_side_by_side(
  groups: Mapping[str, tuple[Sequence[np.ndarray], Sequence[str]]],
  path: str | os.PathLike,
  *,
  columns: int = 4,
) -> pathlib.Path:
  """Writes several contact sheets side by side, in one PNG.

  Args:
    groups: {heading: (images, titles)}, as for `write_contact_sheet`. The
      pictures are larger here, and the titles have two lines.
    path: path of the PNG.
    columns: number of pictures per row of one sheet.

  Returns:
    The path.

  Raises:
    ValueError: there are no groups, or a group has no images or another
      number of titles.
  """
  suffixes.check(path, ".png", what="a picture in PNG")
  if not groups:
    raise ValueError("no group of images; give at least one")
  sheets = [
    _draw(*group, columns=columns, side=_LARGE_SIDE, lines=2)
    for group in groups.values()
  ]
  width = sum(sheet.width + 2 * _GAP for sheet in sheets)
  height = max(sheet.height for sheet in sheets) + _HEADING
  page = Image.new("RGB", (width, height), _PAPER)
  draw, left = ImageDraw.Draw(page), 0
  for heading, sheet in zip(groups, sheets, strict=True):
    place = (left + _GAP, _GAP)
    draw.text(place, heading, fill=_INK, font=_font(_HEADING // 2))
    page.paste(sheet, (left, _HEADING))
    left += sheet.width + 2 * _GAP
  page.save(path, "PNG")
  return pathlib.Path(path)


def write_captioned(
  images: Sequence[np.ndarray],
  titles: Sequence[str],
  path: str | os.PathLike,
  *,
  caption: Sequence[str],
) -> pathlib.Path:
  """Writes large pictures in a row, with lines of text below them, in one PNG.

  Args:
    images, titles: as for `write_contact_sheet`.
    path: path of the PNG.
    caption: the lines; a long line ends in an ellipsis.

  Returns:
    The path.

  Raises:
    ValueError: there are no images, or the number of titles differs.
  """
  suffixes.check(path, ".png", what="a picture in PNG")
  row = _draw(images, titles, columns=len(images), side=_CAPTIONED, lines=1)
  height = row.height + len(caption) * _CAPTION_LINE + _GAP
  page = Image.new("RGB", (row.width, height), _PAPER)
  page.paste(row, (0, 0))
  draw, font = ImageDraw.Draw(page), _font(_CAPTION_LINE - 6)
  for number, line in enumerate(caption):
    place = (_GAP, row.height + number * _CAPTION_LINE)
    shown = _shortened(line, font, row.width - 2 * _GAP)
    draw.text(place, shown, fill=_INK, font=font)
  page.save(path, "PNG")
  return pathlib.Path(path)


def _draw(
  images: Sequence[np.ndarray],
  titles: Sequence[str],
  *,
  columns: int,
  side: int,
  lines: int,
) -> Image.Image:
  """One sheet; the longer side of a picture has at most `side` pixels."""
  if not images or len(images) != len(titles):
    raise ValueError(
      f"{len(images)} images and {len(titles)} titles; give at least one "
      "image, and a title for each"
    )
  columns = min(columns, len(images))
  rows = math.ceil(len(images) / columns)
  width, height = side + _GAP, side + lines * _LINE + 2 + _GAP
  size = (columns * width + _GAP, rows * height + _GAP)
  sheet = Image.new("RGB", size, _PAPER)
  draw, font = ImageDraw.Draw(sheet), _font()
  for number, (image, title) in enumerate(zip(images, titles, strict=True)):
    row, column = divmod(number, columns)
    left, top = _GAP + column * width, _GAP + row * height
    picture = _picture(image, side)
    sheet.paste(picture, (left, top + side - picture.height))
    for line, shown in enumerate(_lines(title, font, side, lines)):
      place = (left, top + side + 2 + line * _LINE)
      draw.text(place, shown, fill=_INK, font=font)
  return sheet


def _picture(image: np.ndarray, side: int) -> Image.Image:
  """An RGB image; its longer side is `side` or the largest multiple below."""
  if image.shape[2] not in (3, 4):  # the mean, as in reports
    image = image.mean(axis=2).astype(np.uint8)
  picture = Image.fromarray(image).convert("RGB")
  scale = side / max(picture.size)
  if scale >= 1:
    scale, resampling = math.floor(scale), Image.Resampling.NEAREST
  else:
    resampling = Image.Resampling.BICUBIC
  size = tuple(max(1, round(side * scale)) for side in picture.size)
  return picture.resize(size, resampling)


def _lines(
  title: str, font: ImageFont.FreeTypeFont, width: int, most: int
) -> list[str]:
  """Splits a title into at most `most` lines; a long line ends in an ellipsis.

  A line break in the title is a space here, as it would overlap other pictures.
  """
  words, lines = title.split(), []
  while words and len(lines) < most - 1:
    count = len(words)
    while count > 1 and font.getlength(" ".join(words[:count])) > width:
      count -= 1
    lines.append(_shortened(" ".join(words[:count]), font, width))
    words = words[count:]
  return [*lines, _shortened(" ".join(words), font, width)]


def _shortened(title: str, font: ImageFont.FreeTypeFont, width: int) -> str:
  if font.getlength(title) <= width:
    return title
  while title and font.getlength(title + "…") > width:
    title = title[:-1]
  return title + "…"


def _font(size: int = 11) -> ImageFont.FreeTypeFont:
  # matplotlib's DejaVu covers most alphabets; Pillow's default font does not.
  import matplotlib  # Here, as other commands that use this room start faster.

  directory = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
  return ImageFont.truetype(directory / "DejaVuSans.ttf", size)
