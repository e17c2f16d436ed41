"""An open weight file with a known layout, and the options that it implies."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jaxvision import files, models
from jaxvision.weights import formats, grids, notes, published, recognition
from jaxvision.weights.families import vit
from jaxvision.weights.formats import ArrayFile
from jaxvision.weights.grids import Grid
from jaxvision.weights.layout import Place
from jaxvision.weights.notes import Note
from jaxvision.weights.recognition import Recognized

Size = tuple[int, int]

_LOGGER = logging.getLogger(__name__)

POSITIONS = f"params/{vit.POSITIONS}"
# Options with numbers of layers.
_COUNTS = {"blocks", "depth", "repeats", "stem_units", "units"}
_MIXED = "params/MixerBlock_0/token_mixing/Dense_0/"


@dataclasses.dataclass(frozen=True)
class Opened:
  """An open weight file.

  Attributes:
    file: the open file.
    found: its layout.
    note: its note.
    source: name of the file, for messages.
    native: stated image size; None if not stated.
  """

  file: ArrayFile
  found: Recognized
  note: Note
  source: str
  native: Size | None


def open_weights(
  path: pathlib.Path,
  name: str,
  *,
  part: str = "",
  native: Size | None = None,
) -> Opened:
  """Opens a weight file for a model.

  Args:
    path: path of the file.
    part: part of the file, as for `formats.open_file`; "" for all.
    name: name of the model.
    native: image size of the file, if the caller states it.

  Raises:
    ValueError: the file is damaged, of another model, or of unknown layout.
  """
  source = files.printable(f"{path}#{part}" if part else path)
  file = formats.open_file(path, part=part)
  note = notes.parsed(formats.note(file), source=source)
  found = recognition.recognize(
    file.entries,
    source=source,
    known=recognition.stated(note),
    parts=file.parts,
  )
  if file.lists:
    _LOGGER.warning(
      "%s: the arrays in the lists %s are skipped",
      *(source, files.printable(", ".join(file.lists))[:200]),
    )
  recognition.check_name(found, name, source=source)
  _check_counts(note, arrays=len(file.entries), source=source)
  if note.options and note.model != name:
    raise ValueError(
      f"{source} is a file of {note.model} with "
      f"{', '.join(f'{k}={v!r}' for k, v in note.options.items())}, not of "
      f"{name}: load it as {note.model}"
    )
  try:
    models.create(name, num_classes=1, **note.options)
  except (TypeError, ValueError) as error:
    raise ValueError(f"{source} states invalid options: {error}") from error
  return Opened(file, found, note, source, native or note.image_size)


def _check_counts(note: Note, *, arrays: int, source: str) -> None:
  """Raises ValueError if a note states more blocks than there are arrays."""
  for key in _COUNTS & note.options.keys():
    if any(not 0 <= n <= arrays for n in _numbers(note.options[key])):
      raise ValueError(
        f"{source} has {arrays} arrays, but states {key}="
        f"{note.options[key]!r:.40}: it is damaged"
      )


def _numbers(value: Any) -> list[float]:
  if isinstance(value, tuple):
    return [number for each in value for number in _numbers(each)]
  return [value] if isinstance(value, int | float) else []


def options(
  opened: Opened,
  name: str,
  *,
  given: Mapping[str, Any],
  image_size: Size | None,
  complete: bool = True,
) -> dict[str, Any]:
  """Returns the model options that a file implies.

  Args:
    opened: the open file.
    name: name of the model.
    given: options of the caller, which have priority.
    image_size: image size that the file is loaded for, if stated.
    complete: whether an ambiguous option is an error; else it is not included.

  Raises:
    ValueError: the shapes are invalid or ambiguous.
  """
  try:
    implied = opened.found.layout.options(opened.found.arrays, name)
  except (ArithmeticError, LookupError, TypeError, ValueError) as error:
    raise ValueError(
      f"{opened.source} has the layout {opened.found.layout.name}, but the "
      f"shapes of its arrays are not those of a {name} ({error})"
    ) from error
  found = {**implied, **opened.note.options, **given}
  if found.get("positions") != grids.UNDECIDED:
    return found
  try:
    found["positions"] = _positions(opened, name, found, image_size)
  except ValueError:
    if complete:
      raise
    del found["positions"]
  return found


def _positions(
  opened: Opened,
  name: str,
  found: Mapping[str, Any],
  image_size: Size | None,
) -> str:
  """Returns whether the class token has a position, as `grids.kind`.

  Raises:
    ValueError: this is ambiguous.
  """
  other = {k: v for k, v in found.items() if k != "positions"}
  model = models.create(name, num_classes=1, **other)
  count = _array(opened, POSITIONS).shape[-2]
  stated = _stated(opened, name, model, image_size)
  _check_registers(count, model, stated=stated, source=opened.source)
  return grids.kind(
    count,
    patches_alone=model.registers > 0 or _has_positions_outside_encoder(opened),
    stated=stated,
    source=opened.source,
  )


def _has_positions_outside_encoder(opened: Opened) -> bool:
  """Whether the position table is outside the encoder, as in big_vision."""
  name = opened.found.names[place_of(opened, POSITIONS, (1, 1, 1)).key]
  return name.endswith("pos_embedding") and "posembed_input" not in name


def _check_registers(
  count: int, model: nn.Module, *, stated: grids.Stated, source: str
) -> None:
  """Raises ValueError if registers have positions, as is possible in timm."""
  for grid in (stated.own, stated.wanted):
    patches = grid[0] * grid[1] if grid else count
    if model.registers and count == patches + 1 + model.registers:
      raise ValueError(
        f"{source} has positions for its {model.registers} registers, which is "
        "not supported: use a file with positions of patches and class token"
      )


def make_model(
  opened: Opened, name: str, *, num_classes: int, **options: Any
) -> nn.Module:
  """Creates the model; an error names the file that implies its options."""
  try:
    return models.create(name, num_classes=num_classes, **options)
  except ValueError as error:
    raise ValueError(f"{opened.source}: {error}") from error


def image_size(
  opened: Opened, name: str, model: nn.Module, *, wanted: Size | None
) -> Size:
  """Returns the image size: the wanted size, or that of the file.

  Raises:
    ValueError: the size is ambiguous.
  """
  if wanted or opened.native:
    return wanted or opened.native
  patches = _patches(opened, name, model)
  if not patches:
    return (models.spec(name).image_size,) * 2
  rows, columns = grids.rows_and_columns(
    patches,
    stated=_stated(opened, name, model, None),
    source=opened.source,
  )
  stride = _stride(name, model)
  return rows * stride, columns * stride


def grids_of_positions(
  opened: Opened, name: str, model: nn.Module, *, wanted: Size
) -> tuple[Grid, Grid]:
  """Returns the grid of patches of the file, and of images of the wanted size.

  Raises:
    ValueError: the grid is ambiguous.
  """
  stated = _stated(opened, name, model, wanted)
  patches = _patches(opened, name, model)
  own = grids.rows_and_columns(patches, stated=stated, source=opened.source)
  return own, stated.wanted


def channels(opened: Opened) -> int | None:
  """Returns the number of channels of the images; None if unknown."""
  for stem in opened.found.layout.stem:
    place = place_of(opened, f"params/{stem}/kernel", (1, 1, 1, 1))
    kernel = opened.found.arrays.get(place.key)
    if kernel is not None and len(kernel.shape) == 4:
      return kernel.shape[list(place.order).index(2)]
  return None


def place_of(opened: Opened, leaf: str, shape: tuple[int, ...]) -> Place:
  """Returns the place of a leaf in the file."""
  return opened.found.layout.place(leaf, shape)


def _array(opened: Opened, leaf: str) -> Any:
  key = place_of(opened, leaf, (1, 1, 1)).key
  return opened.found.arrays.get(key)


def _patches(opened: Opened, name: str, model: nn.Module) -> int:
  """Returns the number of patches of the arrays; 0 if it is not fixed."""
  if name.startswith("vit_") and model.positions.startswith("learned"):
    table = _array(opened, POSITIONS)
    tokens = int(model.pool == "token") + int(model.distillation_token)
    before = tokens if model.positions == "learned" else 0
    if table is None or len(table.shape) < 2:
      raise ValueError(f"{opened.source} has no learned positions")
    return table.shape[-2] - before
  if name.startswith("mixer_"):
    kernel, bias = (
      opened.found.arrays.get(place_of(opened, _MIXED + leaf, shape).key)
      for leaf, shape in (("kernel", (1, 1)), ("bias", (1,)))
    )
    if kernel is None or bias is None or not bias.size:
      raise ValueError(f"{opened.source} has no layers across patches")
    return kernel.size // bias.size
  return 0


def _stated(
  opened: Opened, name: str, model: nn.Module, wanted: Size | None
) -> grids.Stated:
  stride = _stride(name, model)
  sizes = {row.image_size for row in published.rows(name)}
  sizes.add(models.spec(name).image_size)

  def grid(size: Size | None) -> Grid | None:
    return size and (size[0] // stride, size[1] // stride)

  return grids.Stated(
    own=grid(opened.native),
    wanted=grid(wanted),
    usual=[size // stride for size in sizes],
  )


def _stride(name: str, model: nn.Module) -> int:
  """Returns the stride of the tokens, in pixels."""
  if name.startswith("vit_"):
    return model.stride
  return getattr(model, "patch_size", 1)
