"""Notes: model options that jaxvision writes into weight files.

A layout does not contain everything, such as the variant of GELU, the number of
heads, or positions without parameters. Options that `load` cannot derive from
the arrays are stored as JSON in the metadata of a .safetensors file, or in the
comment of an .npz. Other readers ignore both.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jaxvision import models

# Attributes of models that do not affect the parameters, and affect the
# evaluation at most in its precision.
OF_TRAINING = frozenset(
  {
    "depthwise_initializer",
    "dense_initializer",
    "drop_connect",
    "drop_path",
    "dropout",
    "dtype",
    "head_bias",
    "initializer",
    "norm_momentum",
    "scan_layers",
    "total_steps",
    "zero_gamma",
  }
)
_NO_OPTIONS = frozenset({"num_classes", "parent", "name"})


@dataclasses.dataclass(frozen=True)
class Note:
  """The note of a file.

  Attributes:
    model: name of the model; "" if there is no note.
    layout: name of the layout.
    options: options of the model that the layout does not imply.
    image_size: image size; None if not stated.
  """

  model: str = ""
  layout: str = ""
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  image_size: tuple[int, int] | None = None


def text(note: Note) -> str:
  """Returns the note as text, for `parsed`."""
  return json.dumps({"jaxvision": dataclasses.asdict(note)})


def parsed(written: str, *, source: str) -> Note:
  """Parses the note of a file; an empty note for any other text.

  Raises:
    ValueError: the text is a damaged note.
  """
  if not written.startswith('{"jaxvision"'):
    return Note()
  try:
    fields = json.loads(written)["jaxvision"]
    size = fields["image_size"]
    note = Note(
      model=str(fields["model"]),
      layout=str(fields["layout"]),
      options={str(k): _tuples(v) for k, v in fields["options"].items()},
      image_size=None if size is None else (int(size[0]), int(size[1])),
    )
    if note.image_size and min(note.image_size) < 1:
      raise ValueError(f"image_size {note.image_size}")
    return note
  except Exception as error:
    raise ValueError(
      f"{source}: the note of jaxvision in the file is damaged ({error}); "
      "fetch the file again"
    ) from error


def differences(
  model: nn.Module, name: str, implied: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns the options of a model that its name and `implied` do not give.

  Options that affect only the training are not included.
  """
  other = models.create(name, num_classes=model.num_classes, **implied)
  return {
    field.name: value
    for field in dataclasses.fields(model)
    if field.name not in OF_TRAINING | _NO_OPTIONS
    and (value := getattr(model, field.name)) != getattr(other, field.name)
  }


def _tuples(value: Any) -> Any:
  """Converts JSON lists to tuples."""
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
