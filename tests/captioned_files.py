"""Small images with captions, in the layouts in which data sets have them.

Each function writes one layout into a folder. Image number i of a split is grey
of the value i.
"""

import io
import json
import pathlib

from PIL import Image

CAPTIONS = (
  ("A red kangaroo.", "A kangaroo, and it's red!"),
  ("Two dogs run.",),
  ("A cat on a mat.", "A cat.", "The mat of a cat."),
  ("A large paintbrush.",),
  ("An apricot.", "A fruit."),
)


def png(number: int) -> bytes:
  file = io.BytesIO()
  Image.new("L", (5, 4), number).save(file, "PNG")
  return file.getvalue()


def write_image(path: pathlib.Path, number: int) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(png(number))


def coco(folder: pathlib.Path) -> pathlib.Path:
  """annotations/captions_{train,val}2017.json, and the images of each split."""
  for split in ("train2017", "val2017"):
    images = [
      {"id": 40 + i, "file_name": f"{i:012}.jpg", "width": 5, "height": 4}
      for i in range(len(CAPTIONS))
    ]
    for i, each in enumerate(images):
      write_image(folder / split / each["file_name"], i)
    annotations = [
      {"id": 9 * i + k, "image_id": 40 + i, "caption": f"{caption}\n"}
      for i, captions in enumerate(CAPTIONS)
      for k, caption in enumerate(captions)
    ]
    content = {"info": {}, "images": images, "annotations": annotations}
    path = folder / "annotations" / f"captions_{split}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
  return folder


KARPATHY = ("train", "restval", "val", "test", "train")


def karpathy(folder: pathlib.Path) -> pathlib.Path:
  """dataset_coco.json, and the images of COCO 2014."""
  images = []
  for i, (split, captions) in enumerate(zip(KARPATHY, CAPTIONS, strict=True)):
    filepath = "train2014" if split == "train" else "val2014"
    name = f"COCO_{filepath}_{i:012}.jpg"
    write_image(folder / filepath / name, i)
    images.append(
      {
        "filepath": filepath,
        "filename": name,
        "cocoid": 40 + i,
        "split": split,
        "sentences": [{"raw": each, "tokens": []} for each in captions],
      }
    )
  content = {"images": images, "dataset": "coco"}
  (folder / "dataset_coco.json").write_text(json.dumps(content))
  return folder


FLICKR = ("train", "train", "dev", "test", "")


def flickr8k(folder: pathlib.Path) -> pathlib.Path:
  """Flickr8k_text with the lists of the splits, and Flicker8k_Dataset.

  The last image is in no list and does not exist.
  """
  text = folder / "Flickr8k_text"
  text.mkdir(parents=True, exist_ok=True)
  lists: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
  lines = []
  for i, (split, captions) in enumerate(zip(FLICKR, CAPTIONS, strict=True)):
    name = f"{i}_ab.jpg"
    lines += [f"{name}#{k}\t{each} ." for k, each in enumerate(captions)]
    if split:
      lists[split].append(name)
      write_image(folder / "Flicker8k_Dataset" / name, i)
  (text / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
  (text / "Flickr8k.lemma.token.txt").write_text("\n".join(lines) + "\n")
  for split, names in lists.items():
    path = text / f"Flickr_8k.{split}Images.txt"
    path.write_text("".join(f"{name}\n" for name in names))
  return folder


def beside(folder: pathlib.Path) -> pathlib.Path:
  """NAME.png with its captions in NAME.txt."""
  for i, captions in enumerate(CAPTIONS):
    write_image(folder / f"{i}.png", i)
    (folder / f"{i}.txt").write_text("\n".join(captions) + "\n")
  return folder
