"""Files of captions, in the forms that data sets and results have.

- COCO's annotations: {"images": [{"id", "file_name"}], "annotations":
  [{"image_id", "caption"}]};
- Karpathy's splits, `dataset_coco.json`: {"images": [{"filename", "split",
  "sentences": [{"raw"}]}]}, with "filepath" and "cocoid" for COCO. "val" is
  called "validation", "restval" keeps its name;
- `Flickr8k.token.txt`: lines NAME.jpg#NUMBER<TAB>CAPTION. The lists of images
  beside it (`Flickr_8k.trainImages.txt`, devImages, testImages) are its splits;
- results: [{"image_id", "caption"}], as COCO's evaluation takes them; "image",
  the path of an image, may replace "image_id";
- predictions of `jaxvision predict --json`: [{"image", "top": [{"caption"}]}],
  of which the first caption of an image counts;
- {ID: CAPTION} or {ID: [CAPTION, ...]}, in JSON;
- any other text: a caption a line, whose ids are the numbers of the lines.

JSON has the ending .json. Text has .txt, .token (Flickr30k) or no ending.

Space at the ends of a caption is removed, and every other space, also the end
of a line, becomes one space.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxvision import files
from jaxvision.files import records

_LARGEST = 1 << 30  # bytes
_LISTED = 5
_TOKEN = re.compile(r"(?P<name>[^\t]+)#\d+\t(?P<caption>.*)")
# The table in which Kaggle has the captions of Flickr8k begins with it.
_HEADER = re.compile(r"image\s*,\s*caption\s*", re.IGNORECASE)
_JSON, _PLAIN = ".json", (".txt", ".token", "")
_TEXT, _ID = (str,), (str, int)
_COCO = {
  "images": [{"id": _ID, "file_name": _TEXT}],
  "annotations": [{"image_id": _ID, "caption": _TEXT}],
}
_KARPATHY = {
  "images": [
    {
      "filename": _TEXT,
      "filepath?": _TEXT,
      "cocoid?": _ID,
      "split": _TEXT,
      "sentences": [{"raw": _TEXT}],
    }
  ]
}
_RESULT = {"image_id?": _ID, "image?": _TEXT, "caption": _TEXT}
_PREDICTION = {"image": _TEXT, "top": [{"caption": _TEXT}]}
_SPLITS = {"val": "validation"}
_LISTS = {
  "train": "*trainImages.txt",
  "validation": "*devImages.txt",
  "test": "*testImages.txt",
}


@dataclasses.dataclass(frozen=True)
class Captioned:
  """An image and its captions.

  Attributes:
    key: the id of the image as text.
    file: path of the image as the file has it; empty if it has none.
    split: of the image; empty if the file has no splits.
    captions: without line ends. Some may be empty.
  """

  key: str
  file: str
  split: str
  captions: tuple[str, ...]


def read(path: pathlib.Path) -> list[Captioned]:
  """The images of a file of captions, in its order.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: the file is empty or has none of the forms above, has an image
      twice, or has captions of an image that it does not list; or a prediction
      is the error of an image that could not be read.
  """
  if not is_named(path):
    raise ValueError(
      f"{files.printable(path)} ends in {files.printable(path.suffix)!r}; "
      f"captions are JSON in {_JSON}, or text in "
      f"{', '.join(filter(None, _PLAIN))} or without an ending"
    )
  is_json = path.suffix.lower() == _JSON
  found = _from_json(path) if is_json else _from_text(path)
  if not found:
    raise ValueError(f"{files.printable(path)} has no caption")
  return found


def is_named(path: pathlib.Path) -> bool:
  """Whether the ending of a path is one of a file of captions."""
  return path.suffix.lower() in (_JSON, *_PLAIN)


def check_captions(found: Iterable[Captioned], *, where: str) -> None:
  """Checks that each image has captions, and that no caption is empty.

  Raises:
    ValueError: the message counts and lists the images.
  """
  found = list(found)
  without = [each.key for each in found if not each.captions]
  if without:
    raise ValueError(
      f"{where}: {len(without):,} of {len(found):,} images have no caption: "
      f"{listed(without)}; add captions, or remove the images"
    )
  empty = [each.key for each in found if not all(each.captions)]
  if empty:
    raise ValueError(
      f"{where}: {len(empty):,} of {len(found):,} images have an empty "
      f"caption: {listed(empty)}; correct or remove it"
    )


def one_line(caption: str) -> str:
  """A caption without the ends of lines and repeated spaces."""
  return " ".join(caption.split())


def together(captions: Iterable[str]) -> str:
  """The captions of an image as the text of a field: one a line.

  Empty ones are left out.
  """
  return "\n".join(filter(None, map(one_line, captions)))


def listed(names: Sequence[object]) -> str:
  """The first of some names on one line, escaped, for a message."""
  shown = ", ".join(map(files.printable, names[:_LISTED]))
  return f"{shown}, ..." if len(names) > _LISTED else shown


def _from_json(path: pathlib.Path) -> list[Captioned]:
  content = files.read_json(path, kind=(dict, list))
  where = files.printable(path)
  if isinstance(content, list):
    return _results(_first_captions(content, where), where)
  if "annotations" in content:
    return _coco(content, where)
  if isinstance(content.get("images"), list):
    return _karpathy(content, where)
  return _mapping(content, where)


def _check(value: Any, schema: records.Schema, where: str) -> None:
  found = next(records.wrong(value, schema), None)
  if found:
    raise ValueError(
      f"{where} is no file of captions: {found}; expected COCO's annotations "
      "or results, dataset_coco.json, or {id: caption or captions}"
    )


def _coco(content: Mapping[str, Any], where: str) -> list[Captioned]:
  _check(content, _COCO, where)
  names = {}
  for each in content["images"]:
    _add(names, str(each["id"]), each["file_name"], where)
  captions: dict[str, list[str]] = {key: [] for key in names}
  absent = []
  for each in content["annotations"]:
    key = str(each["image_id"])
    if key in captions:
      captions[key].append(one_line(each["caption"]))
    else:
      absent.append(key)
  if absent:
    raise ValueError(
      f"{where}: {len(absent):,} captions are of images that are not in "
      f'"images": {listed(absent)}; add the images, or remove the captions'
    )
  return [
    Captioned(key, name, "", tuple(captions[key]))
    for key, name in names.items()
  ]


def _karpathy(content: Mapping[str, Any], where: str) -> list[Captioned]:
  _check(content, _KARPATHY, where)
  found = {}
  for each in content["images"]:
    name = each["filename"]
    key = str(each.get("cocoid") or name)
    captions = tuple(one_line(of["raw"]) for of in each["sentences"])
    folder = each.get("filepath") or ""
    split = _SPLITS.get(each["split"], each["split"])
    file = f"{folder}/{name}" if folder else name
    _add(found, key, Captioned(key, file, split, captions), where)
  return list(found.values())


def _add(known: dict[str, Any], key: str, value: Any, where: str) -> None:
  if key in known:
    raise ValueError(
      f"{where} has the image {files.printable(key)} twice; keep one of them"
    )
  known[key] = value


def _first_captions(content: Sequence[Any], where: str) -> list[Any]:
  """Predictions as results; other entries stay as they are."""
  unread = [
    each.get("image")
    for each in content
    if isinstance(each, dict) and "error" in each and "caption" not in each
  ]
  if unread:
    raise ValueError(
      f"{where}: {len(unread):,} of {len(content):,} images could not be read "
      f"and have no caption: {listed(unread)}; repair them and predict "
      "again, or remove them here and from the references"
    )
  found = []
  for each in content:
    if isinstance(each, dict) and each.get("top") and "caption" not in each:
      _check(each, _PREDICTION, where)
      each = {"image": each["image"], **each["top"][0]}
    found.append(each)
  return found


def _results(content: Sequence[Any], where: str) -> list[Captioned]:
  _check(content, [_RESULT], where)
  found: dict[str, list[str]] = {}
  named = {}
  for number, each in enumerate(content):
    key = each.get("image_id")
    if key is None:
      key = pathlib.PurePath(each.get("image") or "").name
      named[key] = key
    if key == "":
      raise ValueError(
        f'{where}, entry {number + 1} has neither "image_id" nor "image"'
      )
    found.setdefault(str(key), []).append(one_line(each["caption"]))
  return [
    Captioned(key, named.get(key, ""), "", tuple(captions))
    for key, captions in found.items()
  ]


def _mapping(content: Mapping[str, Any], where: str) -> list[Captioned]:
  lists = {
    key: [value] if isinstance(value, str) else value
    for key, value in content.items()
  }
  _check(lists, {key: [_TEXT] for key in lists}, where)
  return [
    Captioned(key, "", "", tuple(map(one_line, captions)))
    for key, captions in lists.items()
  ]


def _from_text(path: pathlib.Path) -> list[Captioned]:
  lines = _lines(path)
  if not lines:
    raise ValueError(f"{files.printable(path)} is empty; expected captions")
  if _HEADER.fullmatch(lines[0]):
    raise ValueError(
      f"{files.printable(path)} is a table with the columns "
      f"{files.printable(lines[0])}; write it as {{image: [caption, ...]}} in "
      "JSON, or as lines NAME.jpg#0<TAB>CAPTION"
    )
  if _TOKEN.fullmatch(lines[0]):
    return _flickr(path, lines)
  return [
    Captioned(str(number), "", "", (one_line(line),))
    for number, line in enumerate(lines, start=1)
  ]


def _flickr(path: pathlib.Path, lines: Sequence[str]) -> list[Captioned]:
  found: dict[str, list[str]] = {}
  for number, line in enumerate(lines, start=1):
    match = _TOKEN.fullmatch(line)
    if match:
      captions = found.setdefault(match["name"], [])
      captions.append(one_line(match["caption"]))
    elif line.strip():
      raise ValueError(
        f"{files.printable(path)}, line {number} is "
        f"{files.printable(line[:40])!r}; expected NAME.jpg#0<TAB>CAPTION"
      )
  splits = _listed_splits(path)
  absent = [name for name in splits if name not in found]
  if absent:
    raise ValueError(
      f"{files.printable(path)} has no captions of {len(absent):,} of "
      f"{len(splits):,} images in the lists beside it: {listed(absent)}; "
      "add their captions, or remove them from the lists"
    )
  return [
    Captioned(name, name, splits.get(name, ""), tuple(captions))
    for name, captions in found.items()
  ]


def _listed_splits(path: pathlib.Path) -> dict[str, str]:
  """{image: its split} of the lists beside Flickr8k.token.txt."""
  found: dict[str, str] = {}
  twice: dict[str, None] = {}
  for split, pattern in _LISTS.items():
    for each in sorted(path.parent.glob(pattern)):
      for name in filter(None, map(str.strip, _lines(each))):
        if found.setdefault(name, split) != split:
          twice[name] = None
  if twice:
    raise ValueError(
      f"{len(twice):,} images are in lists of two splits beside "
      f"{files.printable(path)}: {listed(list(twice))}; keep each in one"
    )
  return found


def _lines(path: pathlib.Path) -> list[str]:
  text = files.read_text(path, limit=_LARGEST)
  lines = text.replace("\r\n", "\n").split("\n")
  return lines[:-1] if not lines[-1] else lines
