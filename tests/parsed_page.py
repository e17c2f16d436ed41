"""The content of a page: texts, tables, pictures and links."""

import html.parser
import pathlib

_VOID = {"img", "input", "meta", "br", "link", "path", "use"}


class Page(html.parser.HTMLParser):
  """Collects the content that tests need; refuses tags that do not match."""

  def __init__(self, path: pathlib.Path):
    super().__init__(convert_charrefs=True)
    self.source = path.read_text(encoding="utf-8")
    self.open: list[str] = []
    self.tags: list[tuple[str, dict]] = []
    self.tables: list[list[list[str]]] = []
    self.text = ""
    self.feed(self.source)
    self.close()
    assert not self.open, f"left open: {self.open}"

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag == "table":
      self.tables.append([])
    elif tag == "tr":
      self.tables[-1].append([])
    elif tag in ("td", "th"):
      self.tables[-1][-1].append("")
    if tag not in _VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_endtag(self, tag):
    if tag not in _VOID:
      assert self.open.pop() == tag, f"</{tag}> closes nothing"

  def handle_data(self, data):
    if self.open and self.open[-1] in ("style", "script"):
      return
    self.text += data
    if any(tag in ("td", "th") for tag in self.open):
      self.tables[-1][-1][-1] += data

  def attributes(self, tag: str, name: str) -> list[str]:
    return [attrs[name] for t, attrs in self.tags if t == tag and name in attrs]

  def table(self, *headings: str) -> list[list[str]]:
    """The rows of the table whose first row has these headings."""
    for table in self.tables:
      if table and set(headings) <= set(table[0]):
        return table[1:]
    raise AssertionError(f"no table with {headings}")
