"""Sections that a task describes by tables and pictures."""

from collections.abc import Callable
from typing import Any

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
    pictures = "".join(
      _picture(image, caption)
      for image, caption in zip(page.images, page.captions, strict=True)
    )
    content += f'<div class="pictures">{pictures}</div>'
  return content


def _picture(image: Any, caption: str) -> str:
  kind = ' class="pixels"' if max(image.shape[:2]) <= _SMALL else ""
  text = "<br>".join(map(html.escape, caption.split("\n")))
  return (
    f'<div><img{kind} src="{figures.image_uri(image)}" alt="">'
    f"<p>{text}</p></div>"
  )
