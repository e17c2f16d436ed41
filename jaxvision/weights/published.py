"""Weights that others have published, in formats that are read here.

One row of published.csv is one file. Listed are .npz of their authors and
.safetensors of the Hugging Face Hub that have a classifier; torchvision's own
files are pickles, of which the Hub has the same weights (`timm/*.tv_in1k`).
What is not known of a file is left empty.
"""

import csv
import dataclasses
import fnmatch
import json
import pathlib
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class PublishedFile:
  """What is known of a file.

  Attributes:
    model: its name in `jaxvision.models`.
    label: its own name; no two files share one.
    url: as `fetch.local_path` takes it.
    options: attributes of the model that its name does not tell; those that the
      format of the file implies are left out.
    parameters: trainable ones; the file has 4 bytes for each, and little more.
    image_size: height and width it was trained for, in pixels.
    mean, std: per channel (RGB), in units of pixels in [0, 1]: the model takes
      (pixel - mean) / std.
    crop_fraction: image_size / size of the resized image that it is cut from,
      at evaluation. Of timm's files these are timm's default configuration; of
      others as their authors' code evaluates.
    crop: "center" or "square", see image_preprocessing.py.
    interpolation: a method of data/decoding/resizing.py.
    num_classes: length of the logits.
    licence: by its SPDX name; "" is not known.
    top1: accuracy on ImageNet's validation split, in percent; None is not
      known, or other classes.
    top1_source: who measured it, at which size. "timm" is
      results/results-imagenet.csv of huggingface/pytorch-image-models; for .npz
      files it is that of timm's conversion.
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


def rows(pattern: str = "*") -> list[PublishedFile]:
  """Returns the files whose model or label matches a shell pattern.

  They are sorted by model, then by label.
  """
  path = pathlib.Path(__file__).with_suffix(".csv")
  with path.open(encoding="utf-8", newline="") as file:
    found = [_parsed(cells) for cells in csv.DictReader(file)]
  return [
    row
    for row in found
    if fnmatch.fnmatchcase(row.model, pattern)
    or fnmatch.fnmatchcase(row.label, pattern)
  ]


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
  """Reads `name=value`; what is not a number is a word."""
  name, _, value = text.partition("=")
  try:
    return name, json.loads(value)
  except json.JSONDecodeError:
    return name, value
