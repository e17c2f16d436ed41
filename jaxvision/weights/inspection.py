"""What is in a file of weights, without loading it."""

import dataclasses
import os
from typing import Any

from jaxvision import files as files_of_any
from jaxvision.downloads import fetch
from jaxvision.weights import files, notes, recognition


@dataclasses.dataclass(frozen=True)
class Inspection:
  """What is in a file.

  Attributes:
    arrays: (key, shape, type) of each, in the order of the file.
    parameters: elements in all of them.
    layout: who laid it out; "" is unknown.
    models: the most similar models first, each with the parameters that it has
      more than the file, classifier and positions left out.
    num_classes: None without a classifier.
    prefix: of all keys, which is left out; "" is none.
    options: of the model, that the file states.
  """

  arrays: list[tuple[str, tuple[int, ...], str]]
  parameters: int
  layout: str
  models: list[tuple[str, int]]
  num_classes: int | None
  prefix: str = ""
  options: dict[str, Any] = dataclasses.field(default_factory=dict)


def inspect(path_or_url: str | os.PathLike[str]) -> Inspection:
  """Looks into a file of weights.

  Raises:
    FileNotFoundError, ConnectionError: there is no such file.
    ValueError: the file is damaged or of another format.
  """
  path = fetch.local_path(path_or_url)
  shown = files_of_any.printable(path)
  if path.is_dir():
    raise ValueError(f"{shown} is a folder; a file of weights is expected")
  file = files.open_file(path)
  try:
    file.check()
  except Exception as error:
    raise ValueError(f"{shown}: {files_of_any.printable(error)}") from error
  listed = [(key, e.shape, str(e.dtype)) for key, e in file.entries.items()]
  parameters = sum(entry.size for entry in file.entries.values())
  note = notes.parsed(files.note(file), source=shown)
  try:
    found = recognition.recognize(
      file.entries, source=shown, known=recognition.stated(note)
    )
  except ValueError:
    return Inspection(listed, parameters, "", [], None)
  return Inspection(
    listed,
    parameters,
    found.layout.name,
    recognition.candidates(found),
    recognition.classes(found),
    prefix=found.prefix,
    options=dict(note.options),
  )
