"""Sections that a task describes by tables and pictures."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxvision.report import figures, html, numbers
from jaxvision.runs.pages import Page
from jaxvision.runs.reading import Run

# The formats of `runs.pages`.
_FORMATS: dict[str, Callable[[Any], str]] = {
  "text": str,
  "integer": numbers.integer,
  "number": numbers.significant,
  "percent": numbers.percent,
}
_SMALL = 96  # pixels; smaller images are enlarged without smoothing
_STRIP = 3  # wider pictures, relative to their height, get a wide column
_LONG = 90  # characters; pictures with longer captions get a wider column


def parts(run: Run) -> list[tuple[str, str, str]]:
  """The sections `(title, HTML, note)` of a run."""
  return [(page.title, _content(page), page.note) for page in run.pages]


def _content(page: Page) -> str:
  content = ""
  if page.table:
    columns = {
      heading.replace("_", " "): _FORMATS[kind]
      for heading, kind in page.table.columns.items()
    }
    table = html.table(columns, page.table.rows, sortable=True)
    content += f'<div class="card">{table}</div>'
  if page.images is not None:
    content += _pictures(page)
  return content


def _pictures(page: Page) -> str:
  """The pictures of a section, in one flow or in the rows of the page."""
  height, width = page.images.shape[1:3]
  strips = width > _STRIP * height
  kind = "pictures strips" if strips else "pictures"
  if max(map(len, page.captions), default=0) > _LONG:
    kind += " wide"
  pictures = [
    _picture(image, caption)
    for image, caption in zip(page.images, page.captions, strict=True)
  ]
  ends = np.cumsum(page.rows or [len(pictures)])
  return "".join(
    f'<div class="{kind}">{"".join(pictures[end - count : end])}</div>'
    for end, count in zip(ends, page.rows or [len(pictures)], strict=True)
  )


def _picture(image: Any, caption: str) -> str:
  kind = ' class="pixels"' if min(image.shape[:2]) <= _SMALL else ""
  text = "<br>".join(map(html.escape, caption.split("\n")))
  return (
    f'<div><img{kind} src="{figures.image_uri(image)}" alt="">'
    f"<p>{text}</p></div>"
  )
