"""Saving of variables in the layouts of other libraries."""

import dataclasses
import logging
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from jaxvision import files, lookup, models, trees
from jaxvision.weights import formats, grids, notes, placement, recognition
from jaxvision.weights.families import vit
from jaxvision.weights.layout import STORED, Layout
from jaxvision.weights.notes import Note

Tree = Any

_LOGGER = logging.getLogger(__name__)

_QUERY = "/query/kernel"  # (width, heads, size of a head)
_LISTED = 6
# Options that layouts imply but arrays do not show.
_UNSEEN = ("activation", "border", "norm_epsilon", "padding", "shortcut")


def layouts(name: str) -> dict[str, str]:
  """Returns {layout: suffix} of the layouts of a model."""
  return {e.name: e.suffix for e in recognition.layouts_of(name)}


def save(
  path: str | os.PathLike[str],
  name: str,
  variables: Tree,
  *,
  model: nn.Module | None = None,
  image_size: int | tuple[int, int] | None = None,
  layout: str = "",
) -> None:
  """Writes variables in a published layout; `load` reads the same variables.

  Options that the layout does not imply, such as the number of heads, positions
  without parameters or the variant of GELU, are written as a note in the file.
  `load` reads the note; other readers ignore it, so a warning lists these
  options.

  Args:
    path: path of the file; the suffix is .npz or .safetensors.
    name: name of the model.
    variables: variables of the model.
    model: the model; None for the model that the layout implies, with any width
      and depth.
    image_size: image size of learned positions: one side or (height, width), in
      pixels; None if it is not stored.
    layout: one of `layouts(name)`; "" for the first one with this suffix, which
      is timm for .safetensors if timm has the model.

  Raises:
    ValueError: the model has no such layout, or none with this suffix; or the
      variables do not belong to the model.
  """
  path = pathlib.Path(path)
  chosen = _choose(path, name, layout)
  stored = {
    leaf: np.asarray(array)
    for leaf, array in trees.flatten(variables).items()
    if leaf.startswith(STORED)
  }
  if model is not None:
    chosen.check(model)
  implied = _check(name, model, chosen, stored)
  arrays = _laid_out(chosen, stored)
  if isinstance(image_size, int):
    image_size = (image_size, image_size)
  note = Note(
    model=name,
    layout=chosen.name,
    options=_options(name, model, implied, stored),
    image_size=image_size if name.startswith(("vit_", "mixer_")) else None,
  )
  formats.write(path, arrays, note=_text(note, arrays, path))


def _laid_out(
  chosen: Layout, stored: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Returns the arrays of the file."""
  parts: dict[str, list[tuple[int, np.ndarray]]] = {}
  for leaf, array in stored.items():
    place = chosen.place(leaf, array.shape)
    parts.setdefault(place.key, []).append((place.part, place.to_file(array)))
  arrays = {}
  for key, pieces in parts.items():
    ordered = [piece for _, piece in sorted(pieces, key=lambda each: each[0])]
    arrays[key] = np.concatenate(ordered) if len(ordered) > 1 else ordered[0]
  return arrays


def _check(
  name: str,
  model: nn.Module | None,
  chosen: Layout,
  stored: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """Returns the options that the layout implies.

  Raises:
    ValueError: the variables belong to another model.
  """
  if f"params/{chosen.head}/kernel" not in stored:
    raise ValueError(
      f"files of {chosen.name} have the classifier of {name} at {chosen.head}, "
      "but the variables have no such array: use the run folder"
    )
  if later := _behind(chosen.head, stored):
    raise ValueError(
      f"files of {chosen.name} have the classifier of {name} at {chosen.head}, "
      f"but the variables have {later} after it: use the run folder"
    )
  places = {leaf: chosen.place(leaf, a.shape) for leaf, a in stored.items()}
  shaped = {
    place.key: np.broadcast_to(np.float32(0), place.full_shape(1))
    for place in places.values()
  }
  implied = chosen.options(shaped, name)
  if model is None:
    wrong = _unlike(name, chosen, stored, implied)
  else:
    wrong = _leaves(name, model) ^ stored.keys()
  if wrong:
    raise ValueError(
      f"the variables do not belong to the model, or to the {name} of files of "
      f"{chosen.name}: {', '.join(sorted(wrong)[:_LISTED])} are missing or not "
      "expected; give model=... of the variables"
    )
  return implied


def _behind(head: str, stored: Iterable[str]) -> str:
  """Returns a layer with a larger number than the classifier; "" if none."""
  module, _, number = head.rpartition("_")
  layers = re.findall(rf"params/({module}_(\d+))/", "\n".join(stored))
  later = [layer for layer, own in layers if int(own) > int(number)]
  return later[0] if module and later else ""


def _unlike(
  name: str,
  chosen: Layout,
  stored: Mapping[str, np.ndarray],
  implied: Mapping[str, Any],
) -> set[str]:
  """Returns names that show that the variables are not of the implied model.

  Without the model, only its arrays can be checked: the bias of the classifier;
  for a ViT all names, and the learned positions (others have no arrays).
  """
  bias = f"params/{chosen.head}/bias"
  if not name.startswith("vit_"):
    return {bias} - stored.keys()
  known = {k: v for k, v in implied.items() if v != grids.UNDECIDED}
  one_block = models.create(name, num_classes=2, **{**known, "depth": 1})
  wanted = _leaves(name, one_block) | {f"params/{vit.POSITIONS}"}
  return _numberless(wanted) ^ _numberless(stored)


def _numberless(leaves_of: Iterable[str]) -> set[str]:
  return {re.sub(r"\d+", "#", leaf) for leaf in leaves_of}


def _leaves(name: str, model: nn.Module) -> set[str]:
  """Returns the paths of the stored leaves of a model."""
  size = models.spec(name).image_size
  if name.startswith("vit_"):
    size = 2 * model.stride
  if name.startswith("mixer_"):
    size = 2 * model.patch_size
  shapes = placement.shapes(model, (size, size, 3))
  return {leaf for leaf in shapes if leaf.startswith(STORED)}


def _options(
  name: str,
  model: nn.Module | None,
  implied: Mapping[str, Any],
  stored: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """Returns the options of the model that the layout does not imply."""
  if model is not None:
    return notes.differences(model, name, implied)
  _warn_of_unseen(name, implied)
  queries = [leaf for leaf in stored if leaf.endswith(_QUERY)]
  if not queries or "num_heads" in implied:
    return {}
  heads = stored[queries[0]].shape[1]
  usual = models.create(name, num_classes=1).num_heads
  return {} if heads == usual else {"num_heads": heads}


def _warn_of_unseen(name: str, implied: Mapping[str, Any]) -> None:
  """Warns of implied options that differ from the default of the model."""
  usual = models.create(name, num_classes=1)
  unseen = [
    f"{key}={implied[key]!r} ({name} has {own!r})"
    for key in _UNSEEN
    if key in implied and implied[key] != (own := getattr(usual, key))
  ]
  if unseen:
    _LOGGER.warning(
      "the layout implies, for %s, %s; the arrays do not show this: give "
      "model=... if the variables belong to another model",
      *(name, ", ".join(unseen)),
    )


def _text(
  note: Note, arrays: Mapping[str, np.ndarray], path: pathlib.Path
) -> str:
  """Returns the text of a note; "" if the arrays determine everything."""
  try:
    found = recognition.recognize(arrays, source="it").layout
    recognised = found.name == note.layout and note.model in (
      recognition.family(found)
    )
  except ValueError:
    recognised = False
  if recognised and not note.options and not note.image_size:
    return ""
  try:
    text = notes.text(note)
    same = dataclasses.replace(notes.parsed(text, source="it")) == note
  except TypeError:
    same = False
  if not same:
    raise ValueError(
      f"the layout {note.layout} cannot store the options "
      f"{dict(note.options)} of {note.model}, nor can a note; use the "
      "run folder"
    )
  if note.options:
    _LOGGER.warning(
      "%s: the layout %s does not store %s; jaxvision reads these options from "
      "a note in the file, but other readers need them from you",
      *(files.printable(path), note.layout),
      ", ".join(f"{k}={v!r}" for k, v in note.options.items()),
    )
  return text


def _choose(path: pathlib.Path, name: str, layout: str) -> Layout:
  known = [e for e in recognition.layouts_of(name) if e.suffix == path.suffix]
  if not known:
    raise ValueError(
      f"no layout of {name} for {path.name!r}; there are "
      + (", ".join(f"{n} ({s})" for n, s in layouts(name).items()) or "none")
    )
  names = [each.name for each in known]
  if layout and layout not in names:
    raise ValueError(lookup.unknown(f"layout of {name}", layout, names))
  return known[names.index(layout)] if layout else known[0]
