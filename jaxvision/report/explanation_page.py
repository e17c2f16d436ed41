"""Pages and pictures of explanations: heat maps over images.

For each image there is a PNG, with the image, each map over it and the best
classes. One page has all of them and needs no other file.
"""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.report import contact_sheet, figures, html, numbers

PAGE = "explanations.html"


@dataclasses.dataclass(frozen=True)
class Explanation:
  """The explanation of an image.

  Attributes:
    path: of the image.
    error: the reason why the image cannot be read; then the rest is empty.
    image: (h, w, c) uint8, as the network gets it, before the normalisation.
    target: the class that the maps explain.
    top: the best classes, {"class", "probability"} or {"class", "value"}.
    maps: {method: (h, w) float32, raw}.
    overlays: {method: the map over the image, (h, w, 3) uint8}.
  """

  path: str
  error: str = ""
  image: np.ndarray | None = None
  target: str = ""
  top: Sequence[Mapping[str, Any]] = ()
  maps: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  overlays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def write_explanations(
  found: Sequence[Explanation],
  folder: str | os.PathLike,
  *,
  title: str,
  note: str = "",
) -> dict[str, pathlib.Path]:
  """Writes a picture for each image and one page.

  Args:
    found: the explanations. Images that cannot be read are on the page only.
    folder: is made if it does not exist. Files of the same names are replaced,
      except the images that are explained.
    title: of the page: the network.
    note: below the title.

  Returns:
    {path of an image: its picture}. The page is `folder / PAGE`.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  names = _names(
    [each.path for each in found if not each.error],
    kept=_names_in(folder, [each.path for each in found]),
  )
  pictures = {}
  for each in found:
    if not each.error:
      pictures[each.path] = folder / names[each.path]
      _write_picture(each, pictures[each.path])
  files.write_text(folder / PAGE, _document(found, title=title, note=note))
  return pictures


def _names(paths: Sequence[str], *, kept: Collection[str]) -> dict[str, str]:
  """{path: name of its picture}; names that exist or are kept get a number."""
  found: dict[str, str] = {}
  taken = {each.lower() for each in kept}
  for path in dict.fromkeys(paths):
    stem, number = pathlib.Path(path).stem, 1
    name = f"{stem}.png"
    while name.lower() in taken:
      number += 1
      name = f"{stem}-{number}.png"
    taken.add(name.lower())
    found[path] = name
  return found


def _names_in(folder: pathlib.Path, paths: Sequence[str]) -> list[str]:
  """The names of the files in a folder that are among some paths."""
  own = [pathlib.Path(path).resolve() for path in paths]
  return [path.name for path in own if path.parent == folder.resolve()]


def _write_picture(each: Explanation, path: pathlib.Path) -> None:
  titles = [pathlib.Path(each.path).name, *each.overlays]
  contact_sheet.write_captioned(
    [each.image, *each.overlays.values()],
    titles,
    path,
    caption=[f"maps of {each.target}", *map(_of_class, each.top)],
  )


def _of_class(named: Mapping[str, Any]) -> str:
  """ "93.10%  tabby" of a class."""
  return f"{_value(named)}  {named['class']}"


def _value(named: Mapping[str, Any]) -> str:
  if "probability" in named:
    return numbers.percent(named["probability"])
  return numbers.significant(named["value"])


def _document(found: Sequence[Explanation], *, title: str, note: str) -> str:
  count = sum(not each.error for each in found)
  head = (
    f'<header><p class="kicker">{html.escape(title)}</p>'
    f"<h1>Where the network looked</h1>"
    f'<p class="note">{html.escape(note)}</p></header>'
  )
  body = "".join(
    _unreadable(each) if each.error else _section(each, number)
    for number, each in enumerate(found)
  )
  plural = "" if count == 1 else "s"
  return html.document(f"{count} image{plural} · {title}", body=head + body)


def _unreadable(each: Explanation) -> str:
  return (
    f"<section><h2>{html.escape(pathlib.Path(each.path).name)}</h2>"
    f'<p class="bad">This image cannot be read: {html.escape(each.error)}</p>'
    "</section>"
  )


def _section(each: Explanation, number: int) -> str:
  name = pathlib.Path(each.path).name
  images = {
    f"the image {name}": (each.image, "image"),
    **{
      f"heat map of {each.target} by {method} over {name}": (overlay, method)
      for method, overlay in each.overlays.items()
    },
  }
  pictures = "".join(
    _picture(image, caption, alt=alt)
    for alt, (image, caption) in images.items()
  )
  of_numbers = any("value" in named for named in each.top)
  columns = {"class": str, "value" if of_numbers else "probability": str}
  rows = [(str(named["class"]), _value(named)) for named in each.top]
  table = html.table(columns, rows)
  return (
    f'<section id="image-{number}"><h2>{html.escape(name)}</h2>'
    f'<p class="note">The maps explain <b>{html.escape(each.target)}</b>. '
    f"{html.escape(each.path)}</p>"
    f'<div class="pictures maps">{pictures}</div>'
    f'<div class="card classes">{table}</div></section>'
  )


def _picture(image: np.ndarray, caption: str, *, alt: str) -> str:
  kind = ' class="pixels"' if figures.is_small(image) else ""
  return (
    f'<div><img{kind} src="{figures.image_uri(image)}" '
    f'alt="{html.escape(alt)}"><p>{html.escape(caption)}</p></div>'
  )
