"""Our variables as a file that others read."""

import os
import pathlib
from typing import Any

import numpy as np

from jaxvision import spelling, trees
from jaxvision.weights import files, recognition
from jaxvision.weights.layout import STORED, Layout

Tree = Any


def layouts(name: str) -> dict[str, str]:
  """Returns the layouts that a model can be written in, with their suffix."""
  return {each.name: each.suffix for each in _of_model(name)}


def save(
  path: str | os.PathLike[str], name: str, variables: Tree, *, layout: str = ""
) -> None:
  """Writes variables in a published layout; `load` reads the same back.

  Args:
    path: of the file; its ending decides between .npz and .safetensors.
    name: of the model.
    variables: of the model.
    layout: one of `layouts(name)`; "" is the first that has the ending, which
      for .safetensors is timm's wherever timm has the model.

  Raises:
    ValueError: there is no such layout of this model, or none with the ending.
  """
  path = pathlib.Path(path)
  chosen = _choose(path, name, layout)
  parts: dict[str, list[tuple[int, np.ndarray]]] = {}
  for leaf, array in trees.flatten(variables).items():
    if not leaf.startswith(STORED):
      continue
    array = np.asarray(array)
    place = chosen.place(leaf, array.shape)
    parts.setdefault(place.key, []).append((place.part, place.to_file(array)))
  arrays = {}
  for key, pieces in parts.items():
    ordered = [piece for _, piece in sorted(pieces, key=lambda each: each[0])]
    arrays[key] = np.concatenate(ordered) if len(ordered) > 1 else ordered[0]
  files.write(path, arrays)


def _of_model(name: str) -> list[Layout]:
  return [
    each for each in recognition.LAYOUTS if name in recognition.family(each)
  ]


def _choose(path: pathlib.Path, name: str, layout: str) -> Layout:
  known = [each for each in _of_model(name) if each.suffix == path.suffix]
  if not known:
    raise ValueError(
      f"no layout of {name} for {path.name!r}; there are "
      + (", ".join(f"{n} ({s})" for n, s in layouts(name).items()) or "none")
    )
  names = [each.name for each in known]
  if layout and layout not in names:
    raise ValueError(spelling.unknown(f"layout of {name}", layout, names))
  return known[names.index(layout)] if layout else known[0]
