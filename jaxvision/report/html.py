"""The HTML pieces that all pages share: document, sections, tables, figures.

Arguments called `body` or `content` are HTML already. All others are plain
text and are escaped here, so a class called "<b>&" stays what it is.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision.report import stylesheet


def escape(text: Any) -> str:
  """Plain text as HTML, also inside attributes."""
  return html.escape(str(text), quote=True)


def document(title: str, *, body: str) -> str:
  """A whole page that needs nothing but itself."""
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{stylesheet.CSS}</style>
</head>
<body>
<main>
{body}
</main>
<script>{stylesheet.SORTING}</script>
</body>
</html>
"""


def section(title: str, *, content: str, note: str = "") -> str:
  """A titled part of the page, which links can point to; "" without content."""
  if not content:
    return ""
  note = f'<p class="note">{escape(note)}</p>' if note else ""
  return (
    f'<section id="{anchor(title)}"><h2>{escape(title)}</h2>{note}'
    f"{content}</section>"
  )


def anchor(title: str) -> str:
  """The id of a section: "Confusion matrix" -> "confusion-matrix"."""
  return escape(title.lower().replace(" ", "-"))


def navigation(titles: Sequence[str]) -> str:
  """A line of links to the sections."""
  links = "".join(
    f'<a href="#{anchor(title)}">{escape(title)}</a>' for title in titles
  )
  return f"<nav>{links}</nav>"


def figure(content: str, *, title: str, caption: str = "") -> str:
  """A picture under its title; the caption is HTML (see `legend`)."""
  return (
    f'<figure role="group" aria-label="{escape(title)}">'
    f"<h3>{escape(title)}</h3>{content}"
    f"<figcaption>{caption}</figcaption></figure>"
  )


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
  """Explains lines: `(text, colour, dash)` as in `figures.Curve`."""
  return "".join(
    f'<span class="key"><i style="border-top-color:var(--{colour});'
    f'border-top-style:{dash}"></i>{escape(text)}</span>'
    for text, colour, dash in entries
  )


def tiles(facts: Mapping[str, str]) -> str:
  """Headline numbers, each under its name."""
  return (
    '<dl class="tiles">'
    + "".join(
      f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
      for name, value in facts.items()
    )
    + "</dl>"
  )


def table(
  columns: Mapping[str, Callable[[Any], str]],
  rows: Sequence[Sequence[Any]],
  *,
  links: Sequence[str] = (),
  sortable: bool = False,
) -> str:
  """A table that scrolls inside the page when it is too large.

  Args:
    columns: {heading: how to write a value of this column}.
    rows: values, one per column: text, or a number, or None for no number.
    links: per row, where the first cell links to; "" for nowhere.
    sortable: a click on a heading sorts by its column.
  """
  head = "".join(
    f"<th>{f'<button>{escape(name)}</button>' if sortable else escape(name)}"
    "</th>"
    for name in columns
  )
  hrefs = [*links, *[""] * (len(rows) - len(links))]
  body = "".join(
    "<tr>" + _cells(row, list(columns.values()), href) + "</tr>"
    for row, href in zip(rows, hrefs, strict=True)
  )
  kind = ' class="sortable"' if sortable else ""
  return (
    f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>"
  )


def _cells(
  row: Sequence[Any], formats: Sequence[Callable[[Any], str]], href: str
) -> str:
  cells = [
    (value, escape(write(value)))
    for value, write in zip(row, formats, strict=True)
  ]
  if href:
    cells[0] = (cells[0][0], f'<a href="{escape(href)}">{cells[0][1]}</a>')
  return "".join(
    f"<td>{content}</td>"
    if isinstance(value, str)
    else f'<td class="number" data-value="{escape(value)}">{content}</td>'
    for value, content in cells
  )
