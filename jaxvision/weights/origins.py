"""Default image preprocessing of each library (origin) of weight files.

torchvision documents it for its default weights, timm for each file, Hugging
Face and the authors in their code.
"""

import dataclasses
from collections.abc import Sequence

import flax.linen as nn

from jaxvision import models
from jaxvision.weights import image_preprocessing as records
from jaxvision.weights import published
from jaxvision.weights.image_preprocessing import Preprocessing

Size = tuple[int, int]

ORIGINS = (
  *("torchvision", "timm", "huggingface", "efficientnet_pytorch"),
  *("authors", "big_vision"),
)
FIXED_SIZE = ("vit_", "mixer_")  # models with an image size in their arrays
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
# torchvision's DEFAULT weights: (shorter side, crop, method).
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
# SWAG weights have no crop: ViTs for more than 224 pixels, and ViT-H/14.
_SWAG = "bicubic"
# timm's default file, for networks whose files in timm differ.
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
    *(f"tf_efficientnet_lite{n}.in1k" for n in range(5)),
  )
)


def of(
  origin: str, name: str, *, model: nn.Module, size: Size, classes: int | None
) -> Preprocessing:
  """Returns the preprocessing of a library.

  Args:
    origin: the library; one of `ORIGINS`, or a name that starts with it.
    name: name of the model.
    model: the model with the options that the file implies.
    size: (height, width) of the arrays.
    classes: length of the logits.

  Raises:
    ValueError: the library does not have this model.
  """
  if origin == "torchvision":
    return _by_torchvision(name, size)
  if origin.startswith("timm"):
    return _by_timm(name, model, size, classes)
  if origin == "huggingface":
    return _by_hugging_face(name)
  if name.startswith("efficientnet_"):
    return _of_efficientnet(name, origin)
  return _by_authors(name, origin)


def is_of_torchvision(name: str, model: nn.Module) -> bool:
  """Whether torchvision has this ResNet, in the same layout as timm."""
  if model.squeeze_excite or model.stem == "small":
    return False
  return _torchvision_crop(name, (224, 224)) is not None


def _torchvision_crop(name: str, size: Size) -> tuple[int, int, str] | None:
  """(shorter side, crop, method) of torchvision; None if it lacks the model."""
  if name.startswith("vit_") and (name == "vit_h14" or max(size) > 224):
    return size[0], size[0], _SWAG
  known = [key for key in _TORCHVISION if name == key]
  known += [
    key for key in ("vgg", "vit_") if name.startswith(key) and not known
  ]
  return _TORCHVISION[known[0]] if known else None


def _by_torchvision(name: str, size: Size) -> Preprocessing:
  crop = _torchvision_crop(name, size)
  if crop is None:
    raise ValueError(f"torchvision has no {name}; give another --preprocessing")
  shorter, side, method = crop
  return Preprocessing(
    image_size=(side, side),
    **_IMAGENET,
    crop_fraction=side / shorter,
    interpolation=f"{method}_antialiased",
    source=f"torchvision's default weights of {name}",
  )


def _by_timm(
  name: str, model: nn.Module, size: Size, classes: int | None
) -> Preprocessing:
  """The preprocessing of timm's files; of the default file if they differ."""
  rows = [
    row for row in published.rows(name) if row.url.startswith("hf-hub:timm/")
  ]
  for same in (
    lambda row: _stem(_model(row)) == _stem(model),
    lambda row: row.num_classes == classes,
    lambda row: (
      not name.startswith(FIXED_SIZE) or (row.image_size,) * 2 == size
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
  found = dataclasses.replace(
    records.of_row(chosen), source=f"timm's layout, as for {chosen.label}"
  )
  notes = ()
  if others:
    labels = ", ".join(row.label for row in others)
    notes = (
      f"timm has other files of {name} with another preprocessing; for one of "
      f"them give --preprocessing LABEL ({labels})",
    )
  return records.with_notes(found, *notes)


def _rank(rows: Sequence[published.PublishedFile]) -> tuple[bool, int]:
  """The order: timm's default first, then the most frequent preprocessing."""
  return not any(row.label in _TIMM for row in rows), -len(rows)


def _model(row: published.PublishedFile) -> nn.Module:
  return models.create(row.model, num_classes=1, **row.options)


def _stem(model: nn.Module) -> tuple:
  """The options that distinguish timm's architectures of the same model."""
  return tuple(getattr(model, key, None) for key in ("stem", "shortcut"))


def _by_spec(name: str) -> Preprocessing:
  spec = models.spec(name)
  return Preprocessing(
    image_size=(spec.image_size, spec.image_size),
    mean=spec.mean,
    std=spec.std,
    crop_fraction=spec.crop_fraction,
    interpolation="bicubic_antialiased",
    source=f"the paper of {name}, because no file of timm is listed",
  )


def _by_hugging_face(name: str) -> Preprocessing:
  """The preprocessing of ViTImageProcessor, and of google/bit-50."""
  vit = name.startswith("vit_")
  if not vit and not name.startswith("bit_"):
    raise ValueError(
      f"Hugging Face has no {name}; give another --preprocessing"
    )
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


def _of_efficientnet(name: str, origin: str) -> Preprocessing:
  """The preprocessing of the TPU repository, and of EfficientNet-PyTorch.

  The first has preprocessing.py and the mean and std of each kind of network.
  The second, examples/imagenet/main.py, evaluates B0 to B7 on the complete
  shorter side. It has no Lite networks. Lite files with its names are converted
  from the authors' weights, so the authors' crop is used.
  """
  if origin not in ("authors", "efficientnet_pytorch"):
    raise ValueError(f"{origin} has no {name}; give another --preprocessing")
  spec = models.spec(name)
  by_authors = origin == "authors"
  cropped = by_authors or "lite" in name
  return Preprocessing(
    image_size=(spec.image_size, spec.image_size),
    mean=spec.mean,
    std=spec.std,
    crop_fraction=spec.crop_fraction if cropped else 1.0,
    interpolation="bicubic" if by_authors else "bicubic_antialiased",
    source=f"the layout of {origin}'s files of {name}",
  )


def _by_authors(name: str, origin: str) -> Preprocessing:
  """Pixels in [-1, 1]; BiT resizes to squares, the others crop the centre."""
  if not name.startswith(("bit_", "vit_", "mixer_")):
    raise ValueError(f"{origin} has no {name}; give another --preprocessing")
  square = name.startswith("bit_")
  spec = models.spec(name)
  return Preprocessing(
    image_size=(spec.image_size, spec.image_size),
    **_HALF,
    crop_fraction=1.0 if square else spec.crop_fraction,
    crop="square" if square else "center",
    source=f"the layout of {origin}'s files of {name}",
  )
