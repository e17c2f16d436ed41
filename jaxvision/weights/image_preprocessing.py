"""Image preprocessing of published networks: a record, and its file formats.

A network has its published accuracy only if images are resized, cropped and
normalised as by its authors. A `Preprocessing` comes from a row of
published.csv, from a file next to the weights, or from the layout of the
weights (see weights/implied_preprocessing.py).
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision import data, files
from jaxvision.weights import published

CROPS = ("center", "square")
# Pillow's resize methods by number, as in files of Hugging Face.
_PILLOW = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")


@dataclasses.dataclass(frozen=True)
class Preprocessing:
  """The preprocessing of images for a network.

  Attributes:
    image_size: (height, width) of the input, in pixels.
    mean: one number, or one per channel, in units of pixels in [0, 1]: the
      input is (pixel - mean) / std.
    std: as `mean`; positive.
    crop_fraction: image_size / size of the resized image before the crop.
    crop: "center": resize the shorter side and crop the centre; "square":
      resize the complete image to the crop's shape, without its aspect ratio.
    interpolation: a resize method of jaxvision.data.
    source: origin of these values, for messages.
    channels: number of channels of the images.
    eval_transforms: calls of host transforms that replace crop_fraction, crop
      and interpolation.
    notes: warnings about these values.

  Raises:
    ValueError: a number is out of its range, or the crop is unknown.
  """

  image_size: tuple[int, int]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  crop_fraction: float = 1.0
  crop: str = "center"
  interpolation: str = "bilinear"
  source: str = ""
  channels: int = 3
  eval_transforms: tuple[str, ...] = ()
  notes: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    _check(self)


def _check(of: Preprocessing) -> None:
  numbers = (*of.mean, *of.std, of.crop_fraction)
  for fails, wrong in (
    (
      min(of.image_size) < 1,
      f"the image size is {of.image_size}; both sides must be at least 1",
    ),
    (
      not of.mean or not of.std or not all(map(math.isfinite, numbers)),
      f"mean is {of.mean} and std is {of.std}; they must be finite numbers",
    ),
    (min(of.std, default=1) <= 0, f"std is {of.std}; it must be positive"),
    (
      not 0 < of.crop_fraction <= 1,
      f"the crop fraction is {of.crop_fraction}; it must be in (0, 1]",
    ),
    (of.crop not in CROPS, f"the crop is {of.crop!r}; give one of {CROPS}"),
  ):
    if fails:
      raise ValueError(f"preprocessing of images: {wrong}")


def transforms(of: Preprocessing) -> tuple[str, ...]:
  """Returns the calls of host transforms, as in a config."""
  if of.eval_transforms:
    return of.eval_transforms
  # A rounding error of the division must not remove a pixel.
  larger = tuple(
    math.floor(side / of.crop_fraction + 1e-9) for side in of.image_size
  )
  like_pillow = of.interpolation.endswith("_antialiased")
  method = f"method={of.interpolation!r}"
  if of.crop == "square":
    resize = f"resize({_size(larger)}, {method})"
    if larger == of.image_size:
      return (resize,)
  else:
    rounding = ", rounding='down'" if like_pillow else ""
    resize = f"resize_small({_size(larger)}, {method}{rounding})"
  rounding = ", rounding='even'" if like_pillow else ""
  return resize, f"center_crop({_size(of.image_size)}{rounding})"


def _size(pair: tuple[int, int]) -> str:
  return str(pair[0] if pair[0] == pair[1] else pair)


def describe(of: Preprocessing) -> str:
  """Returns one line with the transforms, mean, std and source."""
  calls = ", ".join(transforms(of))
  mean, std = (
    ", ".join(f"{n:.6g}" for n in each) for each in (of.mean, of.std)
  )
  return f"{calls}, mean ({mean}), std ({std}): {of.source}"


def changed(
  of: Preprocessing,
  *,
  image_size: tuple[int, int] | None = None,
  mean: Sequence[float] | None = None,
  std: Sequence[float] | None = None,
  crop_fraction: float | None = None,
  interpolation: str | None = None,
) -> Preprocessing:
  """Returns the preprocessing with values that the user gave.

  The notes list the replaced values. None keeps a value.

  Raises:
    ValueError: a value is out of its range; the interpolation is unknown; or a
      crop or an interpolation is given for a preprocessing that lists its
      transforms.
  """
  given = {
    "image_size": image_size,
    "mean": None if mean is None else tuple(mean),
    "std": None if std is None else tuple(std),
    "crop_fraction": crop_fraction,
    "interpolation": interpolation,
  }
  given = {name: value for name, value in given.items() if value is not None}
  if of.eval_transforms and {"crop_fraction", "interpolation"} & given.keys():
    raise ValueError(
      f"{of.source} lists its transforms, {', '.join(of.eval_transforms)}: do "
      "not give crop_fraction and interpolation"
    )
  notes = tuple(
    f"{name} is {_shown(value)} as given, instead of "
    f"{_shown(getattr(of, name))} ({of.source})"
    for name, value in given.items()
    if value != getattr(of, name)
  )
  source = of.source + (", and given values" if notes else "")
  new = dataclasses.replace(of, **given, notes=of.notes + notes, source=source)
  data.make_host_transform(transforms(new))
  return new


def with_notes(of: Preprocessing, *notes: str) -> Preprocessing:
  """Returns the preprocessing with additional warnings."""
  return dataclasses.replace(of, notes=(*of.notes, *notes))


def _shown(value: Any) -> str:
  if isinstance(value, tuple):
    return "(" + ", ".join(f"{each:.6g}" for each in value) + ")"
  return f"{value:.6g}" if isinstance(value, float) else str(value)


def of_row(row: published.PublishedFile) -> Preprocessing:
  """Returns the preprocessing of a row of published.csv."""
  return Preprocessing(
    image_size=(row.image_size, row.image_size),
    mean=row.mean,
    std=row.std,
    crop_fraction=row.crop_fraction,
    crop=row.crop,
    interpolation=row.interpolation,
    source=f"published for {row.label}",
  )


def write_stored(path: str | os.PathLike[str], of: Preprocessing) -> str:
  """Writes the preprocessing next to a weight file, for `read_stored`.

  Returns:
    The path of the file, STEM.preprocessing.json.
  """
  path = _own(pathlib.Path(path))
  values = {
    "image_size": of.image_size,
    "mean": of.mean,
    "std": of.std,
    "eval_transforms": transforms(of),
  }
  files.write_json(path, values)
  return str(path)


def keep(
  path: str | os.PathLike[str],
  of: Preprocessing,
  *,
  implied: Callable[[], Preprocessing],
) -> str:
  """Writes the preprocessing next to a weight file that implies another one.

  Args:
    path: the weight file. An old preprocessing file of this name is removed.
    of: the preprocessing.
    implied: returns the preprocessing that the weight file alone implies.

  Returns:
    The path of the preprocessing file; "" if none is needed.
  """
  _own(pathlib.Path(path)).unlink(missing_ok=True)
  return "" if means(implied()) == means(of) else write_stored(path, of)


def means(of: Preprocessing) -> tuple:
  """Returns the values that affect pixels, for comparisons."""
  return of.image_size, transforms(of), of.mean, of.std


def read_stored(path: str | os.PathLike[str]) -> Preprocessing | None:
  """Reads the preprocessing file next to weights; None if there is none.

  The files are STEM.preprocessing.json (jaxvision), config.json (timm) and
  preprocessor_config.json (Hugging Face).

  Raises:
    ValueError: such a file is damaged; the message names it.
  """
  path = pathlib.Path(path)
  readers = {
    _own(path): _jaxvision,
    path.with_name("config.json"): _timm,
    path.with_name("preprocessor_config.json"): _hugging_face,
  }
  for file, read in readers.items():
    if file.is_file():
      found = _read(file, read)
      if found is not None:
        return found
  return None


def _own(path: pathlib.Path) -> pathlib.Path:
  return path.with_suffix(".preprocessing.json")


def _read(
  file: pathlib.Path, read: Callable[[Mapping[str, Any]], dict | None]
) -> Preprocessing | None:
  remedy = "repair it, or remove it to use the layout of the weights"
  value = files.read_json(file, remedy=remedy)
  source = f"stated by {files.printable(file)}"
  try:
    fields = read(value)
    return fields and Preprocessing(**fields, source=source)
  except (ArithmeticError, LookupError, TypeError, ValueError) as error:
    raise ValueError(
      f"{files.printable(file)} has no valid preprocessing "
      f"({type(error).__name__}: {error}); {remedy}"
    ) from error


def _jaxvision(value: Mapping[str, Any]) -> dict[str, Any]:
  height, width = map(int, value["image_size"])
  calls = tuple(map(str, value["eval_transforms"]))
  data.make_host_transform(calls)
  return {
    "image_size": (height, width),
    "mean": _floats(value["mean"]),
    "std": _floats(value["std"]),
    "eval_transforms": calls,
  }


def _timm(value: Mapping[str, Any]) -> dict[str, Any] | None:
  """Reads `pretrained_cfg`; older files have its keys at the top level."""
  value = value.get("pretrained_cfg", value)
  if "mean" not in value or "input_size" not in value:
    return None
  _, height, width = map(int, value["input_size"])
  square = value.get("crop_mode", "center") == "squash"
  return {
    "image_size": (height, width),
    "mean": _floats(value["mean"]),
    "std": _floats(value["std"]),
    "crop_fraction": float(value.get("crop_pct") or 0.875),
    "crop": "square" if square else "center",
    "interpolation": _antialiased(value.get("interpolation", "bicubic")),
  }


def _hugging_face(value: Mapping[str, Any]) -> dict[str, Any] | None:
  if "size" not in value:
    return None
  size, crop = value["size"], value.get("crop_size")
  sides = size if isinstance(size, dict) else {"height": size, "width": size}
  shortest = sides.get("shortest_edge")
  resized = _pair(shortest if shortest else sides)
  cut = crop is not None and value.get("do_center_crop", shortest is not None)
  final = _pair(crop) if cut else resized
  # Hugging Face multiplies pixels by rescale_factor before mean and std.
  scale = 255 * float(value.get("rescale_factor", 1 / 255))
  if not value.get("do_rescale", True):
    scale = 255.0
  mean = _floats(value.get("image_mean", (0.0,)))
  std = _floats(value.get("image_std", (1.0,)))
  if not value.get("do_normalize", True):
    mean, std = (0.0,), (1.0,)
  return {
    "image_size": final,
    "mean": tuple(each / scale for each in mean),
    "std": tuple(each / scale for each in std),
    "crop_fraction": final[0] / resized[0],
    "crop": "center" if shortest else "square",
    "interpolation": _antialiased(_PILLOW[int(value.get("resample", 2))]),
  }


def _pair(size: Any) -> tuple[int, int]:
  if isinstance(size, Mapping):
    return int(size["height"]), int(size["width"])
  return int(size), int(size)


def _floats(values: Any) -> tuple[float, ...]:
  if isinstance(values, int | float):
    return (float(values),)
  return tuple(map(float, values))


def _antialiased(name: str) -> str:
  """Both libraries resize with Pillow, which antialiases except "nearest"."""
  return name if name == "nearest" else f"{name}_antialiased"
