"""HTML elements of all pages: document, sections, tables, figures.

The arguments `body` and `content` are HTML. All other arguments are plain text
and are escaped here, so a class name such as "<b>&" is shown correctly.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision.report import numbers, stylesheet


def escape(text: Any) -> str:
  """Escapes plain text for HTML, also for attributes."""
  return html.escape(str(text), quote=True)


def document(title: str, *, body: str, scripts: str = "") -> str:
  """A complete page without external files; `scripts` are elements."""
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
{scripts}
</body>
</html>
"""


def sections(parts: Sequence[tuple[str, str, str]]) -> str:
  """Links to all sections, and the sections; two may have the same title.

  Args:
    parts: (title, content, note) of each section. Without content there is no
      section.
  """
  shown = [part for part in parts if part[1]]
  targets: list[str] = []
  for title, _, _ in shown:
    target, number = anchor(title), 2
    while target in targets:
      target, number = f"{anchor(title)}-{number}", number + 1
    targets.append(target)
  links = "".join(
    f'<a href="#{target}">{escape(title)}</a>'
    for target, (title, _, _) in zip(targets, shown, strict=True)
  )
  return f"<nav>{links}</nav>" + "".join(
    section(title, content=content, note=note, target=target)
    for target, (title, content, note) in zip(targets, shown, strict=True)
  )


def section(
  title: str, *, content: str, note: str = "", target: str = ""
) -> str:
  """A section with a title and a link target; "" without content."""
  if not content:
    return ""
  note = f'<p class="note">{escape(note)}</p>' if note else ""
  return (
    f'<section id="{target or anchor(title)}"><h2>{escape(title)}</h2>{note}'
    f"{content}</section>"
  )


def anchor(title: str) -> str:
  """The id of a section: "Confusion matrix" -> "confusion-matrix"."""
  return escape(title.lower().replace(" ", "-"))


def figure(content: str, *, title: str, caption: str = "") -> str:
  """A figure with a title; the caption is HTML."""
  return (
    f'<figure role="group" aria-label="{escape(title)}">'
    f"<h3>{escape(title)}</h3>{content}"
    f"<figcaption>{caption}</figcaption></figure>"
  )


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
  """The legend of curves: `(text, colour, dash)` as in `charts.Series`."""
  return "".join(
    f'<span class="key"><i style="border-top-color:var(--{colour});'
    f'border-top-style:{dash}"></i>{escape(text)}</span>'
    for text, colour, dash in entries
  )


def tiles(facts: Mapping[str, str]) -> str:
  """Headline numbers with their names."""
  return (
    '<dl class="tiles">'
    + "".join(
      f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
      for name, value in facts.items()
    )
    + "</dl>"
  )


def bars(shares: Mapping[str, float]) -> str:
  """A bar for each fraction in [0, 1], with its name and its percentage."""
  return (
    '<dl class="bars">'
    + "".join(
      f"<div><dt>{escape(name)}</dt><dd>{numbers.percent(share)}</dd>"
      f'<i style="width:{100 * share:.4g}%"></i></div>'
      for name, share in shares.items()
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
  """A table; a large table scrolls inside the page.

  Args:
    columns: {heading: function that formats a value of the column}.
    rows: values, one per column: text, a number, or None for a missing number.
    links: per row, the link target of the first cell; "" for no link.
    sortable: whether a click on a heading sorts by its column.
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
