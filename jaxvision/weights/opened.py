"""A file of weights that was recognised, and what it says of its network."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jaxvision import files as root_files
from jaxvision import models
from jaxvision.weights import files, grids, notes, published, recognition
from jaxvision.weights.array_file import ArrayFile
from jaxvision.weights.families import vit
from jaxvision.weights.grids import Grid
from jaxvision.weights.layout import Place
from jaxvision.weights.notes import Note
from jaxvision.weights.recognition import Recognized

Size = tuple[int, int]

POSITIONS = f"params/{vit.POSITIONS}"
# Options that say how many layers there are.
_COUNTS = {"blocks", "depth", "repeats", "stem_units", "units"}
_MIXED = "params/MixerBlock_0/token_mixing/Dense_0/"


@dataclasses.dataclass(frozen=True)
class Opened:
  """A file.

  Attributes:
    file: open.
    found: its layout.
    note: what it says of itself.
    source: what to call it.
    native: size of the images that it is for, where that is stated.
  """

  file: ArrayFile
  found: Recognized
  note: Note
  source: str
  native: Size | None


def open_weights(
  path: pathlib.Path, name: str, *, native: Size | None = None
) -> Opened:
  """Opens a file that may hold the model.

  Args:
    path: of the file.
    name: of the model.
    native: size of the images that it is for, if the caller states it.

  Raises:
    ValueError: the file is damaged, of another model or of no known layout.
  """
  source = root_files.printable(path)
  file = files.open_file(path)
  note = notes.parsed(files.note(file), source=source)
  found = recognition.recognize(
    file.entries, source=source, known=recognition.stated(note)
  )
  recognition.check_name(found, name, source=source)
  _check_counts(note, arrays=len(file.entries), source=source)
  if note.options and note.model != name:
    raise ValueError(
      f"{source} says that it holds {note.model} with "
      f"{', '.join(f'{k}={v!r}' for k, v in note.options.items())}, which "
      f"{name} may not be: load it as {note.model}"
    )
  try:
    models.create(name, num_classes=1, **note.options)
  except (TypeError, ValueError) as error:
    raise ValueError(f"{source} states what cannot be: {error}") from error
  return Opened(file, found, note, source, native or note.image_size)


def _check_counts(note: Note, *, arrays: int, source: str) -> None:
  """Raises a ValueError if a note states more blocks than there are arrays."""
  for key in _COUNTS & note.options.keys():
    if any(not 0 <= n <= arrays for n in _numbers(note.options[key])):
      raise ValueError(
        f"{source} has {arrays} arrays, and says that its {key} is "
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
  whole: bool = True,
) -> dict[str, Any]:
  """Returns the options of the model under which the file means what it meant.

  Args:
    opened: the file.
    name: of the model.
    given: what the caller states; counts more.
    image_size: that the file is loaded for, if that is stated.
    whole: whether all must be decided; else what is not is left out.

  Raises:
    ValueError: the shapes make no sense, or do not decide.
  """
  try:
    implied = opened.found.layout.options(opened.found.arrays, name)
  except (ArithmeticError, LookupError, TypeError, ValueError) as error:
    raise ValueError(
      f"{opened.source} is laid out as {opened.found.layout.name} do, but its "
      f"arrays have shapes of no {name} ({error})"
    ) from error
  found = {**implied, **opened.note.options, **given}
  if found.get("positions") != grids.UNDECIDED:
    return found
  try:
    found["positions"] = _positions(opened, name, found, image_size)
  except ValueError:
    if whole:
      raise
    del found["positions"]
  return found


def _positions(
  opened: Opened,
  name: str,
  found: Mapping[str, Any],
  image_size: Size | None,
) -> str:
  """Returns whether the class token has a position.

  Raises:
    ValueError: nothing decides.
  """
  other = {k: v for k, v in found.items() if k != "positions"}
  model = models.create(name, num_classes=1, **other)
  count = _array(opened, POSITIONS).shape[-2]
  stated = _stated(opened, name, model, image_size)
  _check_registers(count, model, stated=stated, source=opened.source)
  return grids.kind(
    count,
    patches_alone=model.registers > 0 or _is_big_visions_own(opened),
    stated=stated,
    source=opened.source,
  )


def _is_big_visions_own(opened: Opened) -> bool:
  """Whether the table is where only big_vision has it: not in the encoder."""
  name = opened.found.names[place_of(opened, POSITIONS, (1, 1, 1)).key]
  return name.endswith("pos_embedding") and "posembed_input" not in name


def _check_registers(
  count: int, model: nn.Module, *, stated: grids.Stated, source: str
) -> None:
  """Raises a ValueError if registers have positions, as timm can have it."""
  for grid in (stated.own, stated.wanted):
    patches = grid[0] * grid[1] if grid else count
    if model.registers and count == patches + 1 + model.registers:
      raise ValueError(
        f"{source} has positions for its {model.registers} registers, which is "
        "not computed here: they should be of patches and class token alone"
      )


def make_model(
  opened: Opened, name: str, *, num_classes: int, **options: Any
) -> nn.Module:
  """Returns the model; a ValueError names the file that implies its options."""
  try:
    return models.create(name, num_classes=num_classes, **options)
  except ValueError as error:
    raise ValueError(f"{opened.source}: {error}") from error


def image_size(
  opened: Opened, name: str, model: nn.Module, *, wanted: Size | None
) -> Size:
  """Returns the size of images: that is wanted, or that the file is for.

  Raises:
    ValueError: nothing decides.
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
  """Returns the grid of a file's patches, and that of images of a size.

  Raises:
    ValueError: nothing decides.
  """
  stated = _stated(opened, name, model, wanted)
  patches = _patches(opened, name, model)
  own = grids.rows_and_columns(patches, stated=stated, source=opened.source)
  return own, stated.wanted


def channels(opened: Opened) -> int | None:
  """Returns how many channels the images have that a file is for."""
  for stem in opened.found.layout.stem:
    place = place_of(opened, f"params/{stem}/kernel", (1, 1, 1, 1))
    kernel = opened.found.arrays.get(place.key)
    if kernel is not None and len(kernel.shape) == 4:
      return kernel.shape[list(place.order).index(2)]
  return None


def place_of(opened: Opened, leaf: str, shape: tuple[int, ...]) -> Place:
  """Returns the place of one of our arrays in a file."""
  return opened.found.layout.place(leaf, shape)


def _array(opened: Opened, leaf: str) -> Any:
  key = place_of(opened, leaf, (1, 1, 1)).key
  return opened.found.arrays.get(key)


def _patches(opened: Opened, name: str, model: nn.Module) -> int:
  """Returns the patches that the arrays are for; 0 for any number."""
  if name.startswith("vit_") and model.positions.startswith("learned"):
    table = _array(opened, POSITIONS)
    before = int(model.pool == "token" and model.positions == "learned")
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
  """Returns the pixels along a side for which there is one token."""
  if name.startswith("vit_"):
    return recognition.stride(model)
  return getattr(model, "patch_size", 1)
