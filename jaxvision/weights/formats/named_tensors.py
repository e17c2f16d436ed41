"""Names of the tensors in nested dicts.

A tensor has the keys of its dicts as its name, with dots between them. Tensors
in lists and tuples are left out, because they are mostly the state of an
optimizer; only if all tensors are in lists, they are named by their position.
A container that a file has twice counts once, under its first name, so the time
is linear also for containers that contain themselves.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from jaxvision.weights.formats.torch_tensors import Tensor

_LONGEST_NAME = 300  # characters
_MOST_TENSORS = 30_000  # EfficientNet-B7 with average and Adam has 5,000
_DEEPEST = 100  # nested containers
_ONLY = "tensor"  # name of a tensor that is not in a container


@dataclasses.dataclass(frozen=True)
class Named:
  """Tensors with their names.

  Attributes:
    tensors: {name: tensor}, in the order of the file.
    parts: names of the nested dicts that have tensors.
    lists: names of the lists whose tensors are left out.
  """

  tensors: dict[str, Tensor]
  parts: tuple[str, ...]
  lists: tuple[str, ...]


def find(value: Any) -> Named:
  """Returns the tensors in a value.

  Raises:
    ValueError: there are none, or too many; containers are nested too deeply;
      or a name is too long, or of two tensors.
  """
  in_dicts: dict[str, Tensor] = {}
  in_lists: dict[str, Tensor] = {}
  parts: dict[str, None] = {}
  lists: dict[str, None] = {}
  for part, name, around, tensor in _walk(value):
    found = in_dicts if around is None else in_lists
    if name in found:
      raise ValueError(f"two of its tensors have the name {name}")
    if len(found) == _MOST_TENSORS:
      raise ValueError(f"it has more than {_MOST_TENSORS:,} tensors")
    found[name] = tensor
    if around is not None:
      lists[around] = None
    elif part:
      parts[part] = None
  if in_dicts:
    return Named(in_dicts, tuple(parts), tuple(lists))
  if in_lists:
    return Named(in_lists, (), ())
  raise ValueError("it has no tensors")


def _walk(value: Any) -> Iterator[tuple[str, str, str | None, Tensor]]:
  """Yields (container, name, outermost list, tensor), in the file's order."""
  if type(value) is Tensor:
    yield "", _ONLY, None, value
    return
  visited = {id(value)}
  open_ = [("", None if type(value) is dict else "", _items(value))]
  while open_:
    part, around, items = open_[-1]
    key, each = next(items, (None, None))
    if each is None:
      open_.pop()
      continue
    name = f"{part}.{key}" if part else key
    if len(name) > _LONGEST_NAME or len(open_) > _DEEPEST:
      raise ValueError(
        f"its containers are nested too deeply for weights, at {name[:80]}"
      )
    if type(each) is Tensor:
      yield part, name, around, each
    elif id(each) not in visited:
      visited.add(id(each))
      is_list = type(each) is not dict
      inside = name if is_list and around is None else around
      open_.append((name, inside, _items(each)))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
  """Yields the containers and tensors in a container, with their keys."""
  if type(value) is dict:
    items = value.items()
  elif type(value) in (list, tuple):
    items = enumerate(value)
  else:
    items = ()
  for key, each in items:
    if type(each) in (dict, list, tuple, Tensor):
      yield str(key), each
