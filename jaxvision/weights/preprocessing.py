"""Which preprocessing a file of weights implies.

What is most specific decides: the row of published.csv, where the address or
the file's name is listed; what lies beside the file, such as timm's
config.json; the layout of the file, which says by whose code the network was
evaluated. Layouts do not always decide: timm and torchvision write a ResNet
alike, and timm has several files of many networks. Then the default of the
library is taken, and the others are named.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import fetch, inference, models, published
from jaxvision import preprocessing as records
from jaxvision import workdir as workdirs
from jaxvision.preprocessing import Preprocessing
from jaxvision.weights import files, loading, recognition

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
# torchvision's DEFAULT weights: size of the shorter side, of the crop, method.
_TORCHVISION = {
  "alexnet": (256, 224, "bilinear"),
  "vgg": (256, 224, "bilinear"),
  "shufflenet_v2_x0_5": (256, 224, "bilinear"),
  "shufflenet_v2_x1_0": (256, 224, "bilinear"),
  "shufflenet_v2_x1_5": (232, 224, "bilinear"),
  "shufflenet_v2_x2_0": (232, 224, "bilinear"),
  "resnet18": (256, 224, "bilinear"),
  "resnet34": (256, 224, "bilinear"),
  "resnet50": (232, 224, "bilinear"),
  "resnet101": (232, 224, "bilinear"),
  "resnet152": (232, 224, "bilinear"),
  "efficientnet_b0": (256, 224, "bicubic"),
  "efficientnet_b1": (255, 240, "bilinear"),
  "efficientnet_b2": (288, 288, "bicubic"),
  "efficientnet_b3": (320, 300, "bicubic"),
  "efficientnet_b4": (384, 380, "bicubic"),
  "efficientnet_b5": (456, 456, "bicubic"),
  "efficientnet_b6": (528, 528, "bicubic"),
  "efficientnet_b7": (600, 600, "bicubic"),
  "vit_l16": (242, 224, "bilinear"),
  "vit_": (256, 224, "bilinear"),
}
# Those of SWAG are not cropped: ViTs for more than 224 pixels, and ViT-H/14.
_SWAG = "bicubic"
# Of networks whose files at timm differ, the one that timm takes by default.
_TIMM = frozenset(
  f"timm/{label}"
  for label in (
    "mixer_b16_224.goog_in21k_ft_in1k",
    "resnet101.a1h_in1k",
    "resnet101d.ra2_in1k",
    "resnet152.a1h_in1k",
    "resnet152d.ra2_in1k",
    "resnet18.a1_in1k",
    "resnet18d.ra2_in1k",
    "resnet34.a1_in1k",
    "resnet50.a1_in1k",
    "resnet50d.ra2_in1k",
    "resnetv2_152x2_bit.goog_teacher_in21k_ft_in1k",
    "resnetv2_50x1_bit.goog_distilled_in1k",
    *(f"tf_efficientnet_b{n}.ns_jft_in1k" for n in range(8)),
  )
)
ORIGINS = ("torchvision", "timm", "huggingface", "authors", "big_vision")
_BOTH = "timm, torchvision"  # what the layout of plain ResNets is called
_FIXED_SIZE = ("vit_", "mixer_")  # whose arrays tell the size of the images


def preprocessing(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  like: str = "",
  image_size: tuple[int, int] | None = None,
) -> Preprocessing:
  """Returns how images become the input of published weights.

  Args:
    path_or_url: of the file, or the folder of a run, as `weights.load` has it.
    name: of the model.
    like: in place of what the file implies: the label of a published file, or
      one of `ORIGINS`; "" is as the file implies.
    image_size: (height, width) that the weights are loaded for; None is their
      own. The share of the image that is cut out stays.

  Raises:
    FileNotFoundError, ConnectionError, ValueError: as `weights.load` does;
      there is no such label, or a file beside the weights is damaged.
  """
  path = fetch.local_path(path_or_url)
  if path.is_dir():
    if like:
      raise ValueError(f"{path} is a run, whose config states what it takes")
    return _of_run(path)
  if like and like not in ORIGINS:
    found = _of_label(like)
  else:
    found = None if like else _stated(path_or_url, path, name)
  if found is None:
    return _of_layout(path, name, like, image_size)
  return _of_size(found, path, name, image_size)


def _of_size(
  found: Preprocessing,
  path: pathlib.Path,
  name: str,
  image_size: tuple[int, int] | None,
) -> Preprocessing:
  """For images of the size that is wanted, or that the arrays are for."""
  if image_size is None and name.startswith(_FIXED_SIZE):
    # A file that does not tell its size is of the one that is stated.
    with contextlib.suppress(ValueError):
      image_size = _pair(loading.native_size(path, name))
    if image_size not in (None, found.image_size):
      note = (
        f"the arrays of {path} are for images of {image_size[0]}x"
        f"{image_size[1]} pixels, which is what they get"
      )
      found = records.with_notes(found, note)
  return dataclasses.replace(found, image_size=image_size or found.image_size)


def _of_run(path: pathlib.Path) -> Preprocessing:
  config = inference.read_config(path).data
  result = workdirs.read_result(path)
  shape = result.get("evaluated_shape", result.get("image_shape", (1, 1)))
  return Preprocessing(
    image_size=tuple(shape[:2]),
    mean=tuple(config.mean),
    std=tuple(config.std),
    # What is then of another size is resized, as `predict` does.
    eval_transforms=(*config.eval_transforms, f"resize({tuple(shape[:2])})"),
    source=f"the config of the run {path}",
  )


def _of_label(label: str) -> Preprocessing:
  for row in published.rows():
    if row.label == label:
      return records.of_row(row)
  raise ValueError(
    f"no preprocessing is called {label!r}; it is the label of a file that "
    f"`jaxvision weights list` shows, or one of {', '.join(ORIGINS)}"
  )


def _stated(
  path_or_url: str | os.PathLike[str], path: pathlib.Path, name: str
) -> Preprocessing | None:
  """What is published for this very file, or lies beside it."""
  row = published_row(path_or_url, path)
  listed = records.of_row(row) if row and row.model == name else None
  beside = records.beside(path) or _on_hub(os.fspath(path_or_url), listed)
  if listed is None or beside is None:
    return listed or beside
  if records.means(listed) == records.means(beside):
    return listed
  note = f"contradicted by published.csv: {records.describe(listed)}"
  return records.with_notes(beside, note)


def _on_hub(address: str, listed: Preprocessing | None) -> Preprocessing | None:
  """What a repository of the Hub that is not listed says in its config.json."""
  repository, _, name = address.partition("hf-hub:")[2].partition(":")
  if not repository or "/" in name or listed is not None:
    return None
  for each in ("config.json", "preprocessor_config.json"):
    try:
      fetched = fetch.local_path(f"hf-hub:{repository}:{each}")
    except (OSError, ValueError):
      continue
    if found := records.beside(fetched):
      return found
  return None


def published_row(
  path_or_url: str | os.PathLike[str], path: pathlib.Path
) -> published.PublishedFile | None:
  """The row of a file that is published under this address or name.

  A file on this machine is known by the name that its authors gave it, such as
  BiT-M-R50x1.npz, or by its folder in the cache of the Hub.
  """
  address = os.fspath(path_or_url)
  if address.startswith("gs://"):
    address = fetch.web_address(address)
  cached = re.search(r"/models--([^/]+)--([^/]+)/snapshots/", str(path))
  for row in published.rows():
    url = row.url if row.url.startswith("hf-") else fetch.web_address(row.url)
    named = row.url.startswith("gs://") and path.name == row.url.split("/")[-1]
    if address == url or (named and "://" not in address):
      return row
    if cached and row.label == "/".join(cached.groups()):
      return row
  return None


def _of_layout(
  path: pathlib.Path,
  name: str,
  like: str,
  image_size: tuple[int, int] | None,
) -> Preprocessing:
  found = recognition.recognize(files.open_file(path).entries, source=str(path))
  recognition.check_name(found, name, source=str(path))
  try:
    size = _pair(loading.native_size(path, name))
  except ValueError:  # Its positions may be of more than one size.
    if image_size is None:
      raise
    size = image_size
  origin, notes = like or found.layout.name, ()
  if origin == _BOTH:
    by_torchvision = _torchvision_crop(name, size) is not None
    options = loading.implied_options(path, name)
    by_torchvision = by_torchvision and "squeeze_excite" not in options
    origin = "torchvision" if by_torchvision else "timm"
    if by_torchvision:
      notes = (
        "timm and torchvision write this network alike, and torchvision's "
        "preprocessing is taken; for a file of timm say "
        f"--preprocessing timm, or timm/{name}.a1_in1k",
      )
  if origin == "torchvision":
    implied = _by_torchvision(name, size, notes)
  elif origin.startswith("timm"):
    implied = _by_timm(path, name, size, recognition.classes(found))
  elif origin == "huggingface":
    implied = _by_hugging_face(name)
  else:
    implied = _by_authors(name, origin)
  if image_size or name.startswith(_FIXED_SIZE):
    return dataclasses.replace(implied, image_size=image_size or size)
  return implied


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
  return (size, size) if isinstance(size, int) else size


def _torchvision_crop(
  name: str, size: tuple[int, int]
) -> tuple[int, int, str] | None:
  """(shorter side, crop, method) of torchvision; None if it has no such."""
  if name.startswith("vit_") and (name == "vit_h14" or max(size) > 224):
    return size[0], size[0], _SWAG
  known = [key for key in _TORCHVISION if name == key]
  known += [
    key for key in ("vgg", "vit_") if name.startswith(key) and not known
  ]
  return _TORCHVISION[known[0]] if known else None


def _by_torchvision(
  name: str, size: tuple[int, int], notes: Sequence[str]
) -> Preprocessing:
  crop = _torchvision_crop(name, size)
  if crop is None:
    raise ValueError(f"torchvision has no {name}; say another --preprocessing")
  shorter, side, method = crop
  return Preprocessing(
    image_size=(side, side),
    **_IMAGENET,
    crop_fraction=side / shorter,
    interpolation=f"{method}_antialiased",
    source=f"torchvision's default weights of {name}",
    notes=tuple(notes),
  )


def _by_timm(
  path: pathlib.Path, name: str, size: tuple[int, int], classes: int | None
) -> Preprocessing:
  """As timm's files of this network: its default one where they differ."""
  rows = [
    row for row in published.rows(name) if row.url.startswith("hf-hub:timm/")
  ]
  given = _stem(name, loading.implied_options(path, name))
  for same in (
    lambda row: _stem(name, row.options) == given,
    lambda row: row.num_classes == classes,
    lambda row: (
      not name.startswith(_FIXED_SIZE) or (row.image_size,) * 2 == size
    ),
  ):
    rows = [row for row in rows if same(row)] or rows
  if not rows:
    return _by_spec(name)
  rows.sort(key=lambda row: row.label not in _TIMM)
  kinds: dict[tuple, list[published.PublishedFile]] = {}
  for row in rows:
    kinds.setdefault(records.means(records.of_row(row)), []).append(row)
  ordered = sorted(kinds.values(), key=_rank)
  chosen, others = ordered[0][0], [each[0] for each in ordered[1:]]
  found = records.of_row(chosen)
  notes = ()
  if others:
    labels = ", ".join(row.label for row in others)
    notes = (
      f"timm has other files of {name} that differ in it: if yours is one of "
      f"them, say --preprocessing LABEL ({labels})",
    )
  return records.with_notes(found, *notes)


def _rank(rows: Sequence[published.PublishedFile]) -> tuple[bool, int]:
  """What timm takes by default comes first, then what most files have."""
  return not any(row.label in _TIMM for row in rows), -len(rows)


def _stem(name: str, options: Mapping[str, Any]) -> tuple:
  """What tells one architecture of timm's from another of the same model."""
  model = models.create(name, num_classes=1, **options)
  return tuple(getattr(model, key, None) for key in ("stem", "shortcut"))


def _by_spec(name: str) -> Preprocessing:
  spec = models.spec(name)
  return Preprocessing(
    image_size=(spec.image_size, spec.image_size),
    mean=spec.mean,
    std=spec.std,
    crop_fraction=spec.crop_fraction,
    interpolation="bicubic_antialiased",
    source=f"the paper of {name}, as no file of timm is listed",
  )


def _by_hugging_face(name: str) -> Preprocessing:
  """By transformers' ViTImageProcessor, and as google/bit-50 states."""
  vit = name.startswith("vit_")
  if not vit and not name.startswith("bit_"):
    raise ValueError(f"Hugging Face has no {name}; say another --preprocessing")
  (row,) = published.rows("google/" + ("vit-base-*-224" if vit else "bit-50"))
  found = records.of_row(row)
  return Preprocessing(
    image_size=found.image_size,
    **_HALF,
    crop_fraction=found.crop_fraction,
    crop=found.crop,
    interpolation=found.interpolation,
    source=f"the layout of Hugging Face's files, as for {row.label}",
  )


def _by_authors(name: str, origin: str) -> Preprocessing:
  """In [-1, 1]; BiT squares images, the others cut out the middle."""
  square = name.startswith("bit_")
  spec = models.spec(name)
  return Preprocessing(
    image_size=(spec.image_size, spec.image_size),
    **_HALF,
    crop_fraction=1.0 if square else spec.crop_fraction,
    crop="square" if square else "center",
    source=f"the layout of {origin}'s files of {name}",
  )
