"""The image preprocessing that a weight file implies.

The most specific source decides: a row of published.csv with the address or the
name of the file; a file next to it, such as timm's config.json; the layout of
the file, which shows the library that evaluated the network. A layout can be
ambiguous: timm and torchvision use the same layout for ResNets, and timm has
several files of many networks. Then the default of the library is used, and a
note lists the others.
"""

import dataclasses
import os
import pathlib

import flax.linen as nn

from jaxvision import models
from jaxvision.downloads import fetch
from jaxvision.runs import network
from jaxvision.weights import (
  addresses,
  opened,
  origins,
  published,
  recognition,
)
from jaxvision.weights import image_preprocessing as records
from jaxvision.weights.image_preprocessing import Preprocessing
from jaxvision.weights.opened import Size

ORIGINS = origins.ORIGINS
_BOTH = "timm, torchvision"  # name of the layout of plain ResNets


def preprocessing(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  like: str = "",
  image_size: Size | None = None,
) -> Preprocessing:
  """Returns the image preprocessing of published weights.

  Args:
    path_or_url: the file, or the folder of a run, as for `weights.load`.
    name: name of the model.
    like: the label of a published file, or one of `ORIGINS`, to use its
      preprocessing; "" for the preprocessing that the file implies.
    image_size: (height, width) that the weights are loaded for; None for their
      own size. The crop fraction is not changed.

  Raises:
    FileNotFoundError, ConnectionError, ValueError: as `weights.load`. Also
      ValueError if the label is unknown, or a file next to the weights is
      damaged.
  """
  path, part = addresses.locate(path_or_url)
  address = addresses.without_part(path_or_url)
  if path.is_dir():
    if like:
      raise ValueError(f"{path} is a run; its config has the preprocessing")
    return _of_run(path)
  file = opened.open_weights(path, name, part=part)
  if like and like not in ORIGINS:
    found = _of_label(like)
  else:
    found = None if like else _stated(address, path, name)
  if found is None:
    found = _of_layout(file, name, like, image_size)
    if not like and address.startswith("hf-hub:"):
      note = (
        f"{path_or_url} is not listed and its config.json could not be read; "
        "compare this with its page on the Hub"
      )
      found = records.with_notes(found, note)
  else:
    found = _of_size(found, file, name, image_size)
  return _of_channels(found, opened.channels(file) or len(found.mean))


def _of_channels(found: Preprocessing, channels: int) -> Preprocessing:
  """Adapts mean and std to the number of channels of the first kernel."""
  if channels == len(found.mean):
    return dataclasses.replace(found, channels=channels)
  mean, std = ((sum(each) / len(each),) for each in (found.mean, found.std))
  if len(found.mean) > 1:
    note = (
      f"the weights are for images with {channels} channels; mean and std are "
      f"averages over {len(found.mean)} channels"
    )
    found = records.with_notes(found, note)
  return dataclasses.replace(found, mean=mean, std=std, channels=channels)


def _native(
  file: opened.Opened, name: str, image_size: Size | None
) -> tuple[nn.Module, Size]:
  """(model, image size of the arrays).

  Raises:
    ValueError: the arrays do not determine the size, and none is given.
  """
  model = models.create(name, num_classes=1)
  try:
    options = opened.options(file, name, given={}, image_size=image_size)
    model = models.create(name, num_classes=1, **options)
    return model, opened.image_size(file, name, model, wanted=None)
  except ValueError:
    if image_size is None:
      raise
    return model, image_size


def _of_size(
  found: Preprocessing,
  file: opened.Opened,
  name: str,
  image_size: Size | None,
) -> Preprocessing:
  """Sets the image size: the given size, or the size of the arrays."""
  if image_size is None and name.startswith(origins.FIXED_SIZE):
    # A file without a size has the stated size.
    _, image_size = _native(file, name, found.image_size)
    if image_size != found.image_size:
      note = (
        f"the arrays of {file.source} are for images of {image_size[0]}x"
        f"{image_size[1]} pixels, so this size is used"
      )
      found = records.with_notes(found, note)
  return dataclasses.replace(found, image_size=image_size or found.image_size)


def _of_run(path: pathlib.Path) -> Preprocessing:
  run = network.read(path)
  size = run.evaluated_shape[:2]
  return Preprocessing(
    image_size=size,
    mean=run.mean,
    std=run.std,
    # Images of another size are resized at the end, as in `predict`.
    eval_transforms=(*run.eval_transforms, f"resize({size})"),
    source=f"the config of the run {path}",
  )


def _of_label(label: str) -> Preprocessing:
  for row in published.rows():
    if row.label == label:
      return records.of_row(row)
  raise ValueError(
    f"unknown preprocessing {label!r}; give the label of a file in "
    f"`jaxvision weights list`, or one of {', '.join(ORIGINS)}"
  )


def _stated(
  address: str, path: pathlib.Path, name: str
) -> Preprocessing | None:
  """The preprocessing published for this file, or in a file next to it."""
  row = addresses.published_row(address, path)
  listed = records.of_row(row) if row and row.model == name else None
  stored = records.read_stored(path) or _on_hub(address, listed)
  if listed is None or stored is None:
    return listed or stored
  if records.means(listed) == records.means(stored):
    return listed
  note = f"contradicted by published.csv: {records.describe(listed)}"
  return records.with_notes(stored, note)


def _on_hub(address: str, listed: Preprocessing | None) -> Preprocessing | None:
  """The preprocessing in config.json of an unlisted repository of the Hub."""
  repository, _, name = address.partition("hf-hub:")[2].partition(":")
  if not repository or "/" in name or listed is not None:
    return None
  for each in ("config.json", "preprocessor_config.json"):
    try:
      fetched = fetch.local_path(f"hf-hub:{repository}:{each}")
    except (OSError, ValueError):
      continue
    if found := records.read_stored(fetched):
      return found
  return None


def _of_layout(
  file: opened.Opened, name: str, like: str, image_size: Size | None
) -> Preprocessing:
  model, size = _native(file, name, image_size)
  origin, notes = like or file.found.layout.name, ()
  if origin == _BOTH:
    by_torchvision = origins.is_of_torchvision(name, model)
    origin = "torchvision" if by_torchvision else "timm"
    if by_torchvision:
      notes = (
        "timm and torchvision use the same layout for this network, and "
        "torchvision's preprocessing is used; for a file of timm give "
        f"--preprocessing timm, or timm/{name}.a1_in1k",
      )
  if getattr(model, "stem", "") == "small":
    notes = (
      "networks with a small stem are for small images, without a published "
      "preprocessing: give --image_size, --mean and --std of their training",
    )
  classes = recognition.classes(file.found)
  implied = origins.of(origin, name, model=model, size=size, classes=classes)
  if image_size or name.startswith(origins.FIXED_SIZE):
    implied = dataclasses.replace(implied, image_size=image_size or size)
  return records.with_notes(implied, *notes)
