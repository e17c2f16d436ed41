"""The table of published weight files, published.csv.

A row is a file with a classifier: an .npz of its authors, a .safetensors of the
Hugging Face Hub, or a .pth of torchvision. An unknown value is empty.
"""

import csv
import dataclasses
import fnmatch
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class PublishedFile:
  """A published weight file.

  Attributes:
    model: name of the model in `jaxvision.models`.
    label: unique name of the file.
    url: address, as for `fetch.local_path`.
    options: options of the model, except those that the layout implies.
    parameters: number of trainable parameters; the file has slightly more than
      4 bytes for each.
    image_size: height and width of the training images, in pixels.
    mean, std: per channel (RGB), in units of pixels in [0, 1]: the input is
      (pixel - mean) / std.
    crop_fraction: image_size / size of the resized image before the crop, in
      evaluation: timm's default configuration for files of timm, otherwise the
      value in the code of the authors.
    crop: "center" or "square", see image_preprocessing.py.
    interpolation: a resize method of jaxvision.data.
    num_classes: length of the logits.
    licence: SPDX name; "" if unknown.
    top1: accuracy on ImageNet's validation split, in percent; None if unknown
      or for other classes.
    top1_source: source of the accuracy, and its image size. "timm" is
      results/results-imagenet.csv of huggingface/pytorch-image-models; for .npz
      files it is the accuracy of timm's conversion.
    sha256_prefix: first hexadecimal digits of the SHA-256 of the file, from the
      name of the file; "" if not published.
  """

  model: str
  label: str
  url: str
  options: Mapping[str, Any]
  parameters: int
  image_size: int
  mean: tuple[float, float, float]
  std: tuple[float, float, float]
  crop_fraction: float
  crop: str
  interpolation: str
  num_classes: int
  licence: str
  top1: float | None
  top1_source: str
  sha256_prefix: str = ""


def rows(pattern: str = "*") -> list[PublishedFile]:
  """Returns the files whose model or label matches a shell pattern.

  They are sorted by model, then by label.
  """
  return [
    row
    for row in _all()
    if fnmatch.fnmatchcase(row.model, pattern)
    or fnmatch.fnmatchcase(row.label, pattern)
  ]


@functools.cache
def _all() -> tuple[PublishedFile, ...]:
  path = pathlib.Path(__file__).with_suffix(".csv")
  with path.open(encoding="utf-8", newline="") as file:
    return tuple(_parsed(cells) for cells in csv.DictReader(file))


def _parsed(cells: Mapping[str, str]) -> PublishedFile:
  numbers = ("parameters", "image_size", "num_classes")
  return PublishedFile(
    **{
      **cells,
      **{name: int(cells[name]) for name in numbers},
      **{n: tuple(map(float, cells[n].split())) for n in ("mean", "std")},
      "crop_fraction": float(cells["crop_fraction"]),
      "options": dict(map(_option, cells["options"].split())),
      "top1": float(cells["top1"]) if cells["top1"] else None,
    }
  )


def _option(text: str) -> tuple[str, Any]:
  """Parses `name=value`; a value that is not JSON is text."""
  name, _, value = text.partition("=")
  try:
    return name, json.loads(value)
  except json.JSONDecodeError:
    return name, value
