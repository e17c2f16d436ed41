"""What is in a file of weights, without loading it."""

import dataclasses
import os

from jaxvision import fetch
from jaxvision.weights import files, recognition


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
  """

  arrays: list[tuple[str, tuple[int, ...], str]]
  parameters: int
  layout: str
  models: list[tuple[str, int]]
  num_classes: int | None


def inspect(path_or_url: str | os.PathLike[str]) -> Inspection:
  """Looks into a file of weights.

  Raises:
    FileNotFoundError, ConnectionError: there is no such file.
    ValueError: the file is damaged or of another format.
  """
  path = fetch.local_path(path_or_url)
  arrays = files.open_file(path).arrays
  listed = [(key, a.shape, str(a.dtype)) for key, a in arrays.items()]
  parameters = sum(array.size for array in arrays.values())
  try:
    found = recognition.recognize(arrays, source=str(path))
  except ValueError:
    return Inspection(listed, parameters, "", [], None)
  return Inspection(
    listed,
    parameters,
    found.layout.name,
    recognition.candidates(found),
    recognition.classes(found),
  )
