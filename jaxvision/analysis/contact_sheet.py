"""A contact sheet: many small pictures with their titles, as one PNG."""

import math
import os
import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE = 96  # pixels of a picture's longer side
_GAP = 8
_TITLE = 16  # pixels below a picture
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def write_contact_sheet(
  images: Sequence[np.ndarray],
  titles: Sequence[str],
  path: str | os.PathLike,
  *,
  columns: int = 8,
) -> pathlib.Path:
  """Writes the sheet, row by row in the order given.

  Small images are enlarged without smoothing, so that their pixels show; large
  ones are reduced. Titles that are too long end in an ellipsis.

  Args:
    images: (h, w, 3) or (h, w, 1) uint8 each, of any sizes.
    titles: one per image, any text.
    path: of the PNG.
    columns: pictures in a row.

  Returns:
    The path.

  Raises:
    ValueError: no image, or not as many titles.
  """
  if not images or len(images) != len(titles):
    raise ValueError(
      f"{len(images)} images and {len(titles)} titles; give at least one "
      "image, and a title for each"
    )
  columns = min(columns, len(images))
  rows = math.ceil(len(images) / columns)
  width, height = _SIDE + _GAP, _SIDE + _TITLE + _GAP
  size = (columns * width + _GAP, rows * height + _GAP)
  sheet = Image.new("RGB", size, _PAPER)
  draw, font = ImageDraw.Draw(sheet), _font()
  for number, (image, title) in enumerate(zip(images, titles, strict=True)):
    row, column = divmod(number, columns)
    left, top = _GAP + column * width, _GAP + row * height
    picture = _picture(image)
    sheet.paste(picture, (left, top + _SIDE - picture.height))
    shown = _shortened(title, font)
    draw.text((left, top + _SIDE + 2), shown, fill=_INK, font=font)
  sheet.save(path, "PNG")
  return pathlib.Path(path)


def _picture(image: np.ndarray) -> Image.Image:
  """RGB with a longer side of _SIDE, or the largest multiple below it."""
  flat = image[:, :, 0] if image.shape[2] == 1 else image
  picture = Image.fromarray(flat).convert("RGB")
  scale = _SIDE / max(picture.size)
  if scale >= 1:
    scale, resampling = math.floor(scale), Image.Resampling.NEAREST
  else:
    resampling = Image.Resampling.BICUBIC
  size = tuple(max(1, round(side * scale)) for side in picture.size)
  return picture.resize(size, resampling)


def _shortened(title: str, font: ImageFont.FreeTypeFont) -> str:
  # One line: a title with line breaks would run into the next picture.
  title = " ".join(title.split())
  if font.getlength(title) <= _SIDE:
    return title
  while title and font.getlength(title + "…") > _SIDE:
    title = title[:-1]
  return title + "…"


def _font() -> ImageFont.FreeTypeFont:
  # DejaVu, which comes with matplotlib, has most alphabets; Pillow's own not.
  directory = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
  return ImageFont.truetype(directory / "DejaVuSans.ttf", 11)
