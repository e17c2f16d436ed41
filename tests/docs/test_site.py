"""The site of the documentation: it is complete, and works from the disk."""

import html.parser
import importlib
import inspect
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

import pytest

from jaxvision import models
from jaxvision.cli import parsing
from jaxvision.cli.main import make_parser
from jaxvision.config import keys

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  """The folder of the site; a warning of the generator is an error."""
  folder = tmp_path_factory.mktemp("site")
  pages = folder / "pages"
  environment = os.environ | {
    "JAXVISION_PAGES": str(pages),
    "NO_MKDOCS_2_WARNING": "1",
  }
  for command in (
    ["docs/assemble.py", str(pages)],
    ["-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder / "site")],
  ):
    done = subprocess.run(
      [sys.executable, *command],
      cwd=_ROOT,
      env=environment,
      capture_output=True,
      text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
  return folder / "site"


class _Page(html.parser.HTMLParser):
  """The links, the loaded files and the anchors of a page."""

  def __init__(self, path):
    super().__init__()
    self.links, self.anchors = [], {"", "__toc"}
    self.feed(path.read_text("utf-8"))

  def handle_starttag(self, tag, attrs):
    found = dict(attrs)
    self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
    for name in ("href", "src"):
      if name in found:
        self.links.append((tag, found[name]))


@pytest.fixture(scope="module")
def pages(site):
  paths = [path for path in site.rglob("*.html") if path.name != "404.html"]
  return {path: _Page(path) for path in paths}


def test_every_page_of_docs_is_in_the_navigation(site, pages):
  home = pages[site / "index.html"]
  linked = {link for _, link in home.links}
  for path in (_ROOT / "docs").glob("*.md"):
    assert f"docs/{path.stem}.html" in linked, path.name


def test_every_link_leads_to_a_file_and_an_anchor(pages):
  broken = []
  for path, page in pages.items():
    for _, link in page.links:
      parts = urllib.parse.urlsplit(link)
      if parts.scheme or parts.netloc:
        continue
      name = urllib.parse.unquote(parts.path)
      target = (path.parent / name).resolve() if name else path
      if not target.is_file():
        broken.append(f"{path}: {link}")
      elif target in pages and parts.fragment:
        anchor = urllib.parse.unquote(parts.fragment)
        if anchor not in pages[target].anchors:
          broken.append(f"{path}: {link}")
  assert broken == []


def test_nothing_is_loaded_from_other_hosts(pages):
  for path, page in pages.items():
    for tag, link in page.links:
      if tag != "a":
        assert not urllib.parse.urlsplit(link).netloc, f"{path}: {link}"


@pytest.fixture(scope="module")
def index(site):
  """The index of the search, which a page loads as a script."""
  text = (site / "search" / "search_index.js").read_text("utf-8")
  return json.loads(text.removeprefix("var __index = "))["docs"]


def _titles(index, page):
  prefix = f"{page}#"
  return [
    each["title"] for each in index if f"{each['location']}#".startswith(prefix)
  ]


def test_the_search_finds_every_key_command_and_model(index):
  titles = " ".join(_titles(index, "reference/config.html"))
  for key in keys.TYPES:
    assert f">{key}<" in titles, key
  commands = {each.prog for each in parsing.commands(make_parser())}
  assert commands <= {*_titles(index, "reference/commands.html")}
  texts = " ".join(
    each["text"] for each in index if each["location"].startswith("docs/models")
  )
  for name in models.names():
    assert f"<code>{name}</code>" in texts, name


def test_the_search_finds_every_public_function(index):
  """The functions and classes in the `__all__` of each door."""
  locations, missing = {each["location"] for each in index}, []
  for path in sorted((_ROOT / "jaxvision").glob("*/__init__.py")):
    door = importlib.import_module(f"jaxvision.{path.parent.name}")
    for name in door.__all__:
      found = getattr(door, name, None)
      if not (inspect.isfunction(found) or inspect.isclass(found)):
        continue
      anchor = f"{found.__module__}.{found.__qualname__}"
      location = f"reference/{door.__name__}.html#{anchor}"
      if anchor.startswith("jaxvision.") and location not in locations:
        missing.append(location)
  assert missing == []
