"""What our own files say of themselves beside their arrays.

A layout does not carry everything: whose GELU it was, how many heads, which
positions without parameters. What `load` would not find out by itself stands
as JSON in the metadata of a .safetensors file, or in the comment of an .npz;
other readers pass over both.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jaxvision import models

# Attributes of models that do not change what is computed in evaluation, or
# only its precision, nor which parameters there are.
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
  """What a file says of itself.

  Attributes:
    model: its name; "" where it says nothing.
    layout: how it is laid out.
    options: of the model, over those that the layout implies.
    image_size: of the images that it is for; None is not said.
  """

  model: str = ""
  layout: str = ""
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  image_size: tuple[int, int] | None = None


def text(note: Note) -> str:
  """Returns the note as `parsed` reads it."""
  return json.dumps({"jaxvision": dataclasses.asdict(note)})


def parsed(written: str, *, source: str) -> Note:
  """Returns the note of a file; an empty one for a text that is none.

  Raises:
    ValueError: it is a note of ours, and damaged.
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
      f"{source}: the note that jaxvision writes beside the arrays is damaged "
      f"({error}); fetch the file again"
    ) from error


def differences(
  model: nn.Module, name: str, implied: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns the options that a model has over its name and those implied.

  Options of the training alone are left out.
  """
  other = models.create(name, num_classes=model.num_classes, **implied)
  return {
    field.name: value
    for field in dataclasses.fields(model)
    if field.name not in OF_TRAINING | _NO_OPTIONS
    and (value := getattr(model, field.name)) != getattr(other, field.name)
  }


def _tuples(value: Any) -> Any:
  """JSON has lists where options have tuples."""
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
