"""Inspection of a weight file without loading it."""

import dataclasses
import os
from typing import Any

from jaxvision import files
from jaxvision.weights import addresses, formats, notes, recognition


@dataclasses.dataclass(frozen=True)
class Inspection:
  """The content of a file.

  Attributes:
    arrays: (key, shape, type) of each array, in the order of the file.
    parameters: number of elements in all arrays.
    layout: name of the layout; "" if unknown.
    models: (model, difference of parameters), most similar first. A positive
      difference means that the model has more parameters than the file.
      Classifier and positions are not counted.
    num_classes: number of classes; None without a classifier.
    prefix: prefix of all keys, which is removed; "" without one.
    options: options of the model that the file states.
    problem: why the layout is unknown; "" if it is known.
  """

  arrays: list[tuple[str, tuple[int, ...], str]]
  parameters: int
  layout: str
  models: list[tuple[str, int]]
  num_classes: int | None
  prefix: str = ""
  options: dict[str, Any] = dataclasses.field(default_factory=dict)
  problem: str = ""


def inspect(path_or_url: str | os.PathLike[str]) -> Inspection:
  """Inspects a weight file.

  Args:
    path_or_url: as for `weights.load`.

  Raises:
    FileNotFoundError, ConnectionError: the file does not exist.
    ValueError: the file is damaged or of another format.
  """
  path, part = addresses.locate(path_or_url)
  shown = files.printable(f"{path}#{part}" if part else path)
  if path.is_dir():
    raise ValueError(f"{shown} is a folder; give a weight file")
  file = formats.open_file(path, part=part)
  try:
    file.check()
  except Exception as error:
    raise ValueError(f"{shown}: {files.printable(error)}") from error
  listed = [(key, e.shape, str(e.dtype)) for key, e in file.entries.items()]
  parameters = sum(entry.size for entry in file.entries.values())
  note = notes.parsed(formats.note(file), source=shown)
  try:
    found = recognition.recognize(
      file.entries,
      source=shown,
      known=recognition.stated(note),
      parts=file.parts,
    )
  except ValueError as error:
    return Inspection(listed, parameters, "", [], None, problem=str(error))
  return Inspection(
    listed,
    parameters,
    found.layout.name,
    recognition.candidates(found),
    recognition.classes(found),
    prefix=found.prefix,
    options=dict(note.options),
  )
