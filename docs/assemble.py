"""Collects the pages of the site: python docs/assemble.py FOLDER.

The site has the paths of the repository, so that the links between the pages
are those of GitHub. It has the pages of docs/, README.md, CONTRIBUTING.md, each
file that one of them links to, and the reference that is generated from the
code. The generator of the site (mkdocs.yml) reads this folder.
"""

import pathlib
import re
import shutil
import sys
from collections.abc import Iterator

import reference

ROOT = pathlib.Path(__file__).parents[1]
_SCRIPT = "docs/iframe-worker.js"  # of the search, see mkdocs.yml
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def main(folder: pathlib.Path) -> None:
  """Writes the pages into a folder, which is emptied first."""
  shutil.rmtree(folder, ignore_errors=True)
  for name in sorted({*_names(), _SCRIPT}):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / name, path)
  for name, text in reference.pages(ROOT).items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _names() -> set[str]:
  """Paths of the pages and of the files that they link to."""
  pages = {"README.md", "CONTRIBUTING.md"}
  waiting = [*pages, *(f"docs/{each.name}" for each in ROOT.glob("docs/*.md"))]
  found = set(waiting)
  while waiting:
    for target in _targets(waiting.pop()):
      if target not in found:
        found.add(target)
        waiting += [target] * target.endswith(".md")
  return found


def _targets(page: str) -> Iterator[str]:
  """The files of the repository that a page links to."""
  path = ROOT / page
  for link in _LINK.findall(path.read_text("utf-8")):
    target = (path.parent / link).resolve()
    if target.is_file():
      yield target.relative_to(ROOT).as_posix()


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]))
