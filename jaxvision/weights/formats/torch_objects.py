"""The objects that torch's pickles may name, with their replacements.

Any other object is refused. The module torch is not imported.
"""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from jaxvision.weights.formats import torch_tensors
from jaxvision.weights.formats.array_file import Refused
from jaxvision.weights.formats.stack_machine import Callee, pairs, simple
from jaxvision.weights.formats.torch_tensors import Storage, Tensor, naturals

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_STORAGES = {
  "torch.FloatStorage": np.dtype("<f4"),
  "torch.HalfStorage": np.dtype("<f2"),
  "torch.BFloat16Storage": _BFLOAT16,
  "torch.DoubleStorage": np.dtype("<f8"),
  "torch.LongStorage": np.dtype("<i8"),
  "torch.IntStorage": np.dtype("<i4"),
  "torch.ShortStorage": np.dtype("<i2"),
  "torch.CharStorage": np.dtype("i1"),
  "torch.ByteStorage": np.dtype("u1"),
  "torch.BoolStorage": np.dtype("?"),
  # Its tensors state their type.
  "torch.storage.UntypedStorage": np.dtype("u1"),
  "torch.UntypedStorage": np.dtype("u1"),
}
_DTYPES = {
  "torch.float32": np.dtype("<f4"),
  "torch.float16": np.dtype("<f2"),
  "torch.bfloat16": _BFLOAT16,
  "torch.float64": np.dtype("<f8"),
  "torch.int64": np.dtype("<i8"),
  "torch.int32": np.dtype("<i4"),
  "torch.int16": np.dtype("<i2"),
  "torch.int8": np.dtype("i1"),
  "torch.uint8": np.dtype("u1"),
  "torch.uint16": np.dtype("<u2"),
  "torch.uint32": np.dtype("<u4"),
  "torch.uint64": np.dtype("<u8"),
  "torch.bool": np.dtype("?"),
}


class Storages:
  """The storages that a pickle names, by their key."""

  def __init__(self):
    self.rows: dict[str, Storage] = {}

  def resolve(self, identifier: Any) -> Storage:
    """Returns the storage of a persistent identifier.

    Raises:
      ValueError: it is not that of a storage with a known type, or it
        contradicts an earlier one.
    """
    if type(identifier) is not tuple or len(identifier) not in (5, 6):
      raise ValueError("its pickle refers to something else than a storage")
    kind, named, key, _, size, *view = identifier
    if type(kind) is not str or kind != "storage":
      raise ValueError("its pickle refers to something else than a storage")
    dtype = _STORAGES.get(named.name) if type(named) is Callee else None
    if dtype is None or type(key) is not str:
      raise ValueError("its pickle has a storage of an unknown type")
    (size,) = naturals((size,), "size of a storage")
    row = Storage(simple(key), dtype, size)
    before = self.rows.setdefault(key, row)
    if (before.dtype, before.size) != (dtype, size):
      raise ValueError(f"its storage {key:.80} has two types or sizes")
    return _view(row, view[0]) if view and view[0] is not None else before


def _view(row: Storage, stated: Any) -> Storage:
  """A part of a storage, as torch wrote it before version 0.4."""
  if type(stated) is not tuple or len(stated) != 3:
    raise ValueError("its pickle has a damaged view of a storage")
  start, size = naturals(stated[1:], "view of a storage")
  if start + size > row.size:
    raise ValueError(f"a view exceeds its storage of {row.size:,} elements")
  return Storage(row.key, row.dtype, size, start)


def _rebuild_tensor(storage, offset, shape, strides, *others) -> Tensor:
  """torch._utils._rebuild_tensor, and _v2 with others.

  The others are requires_grad, backward_hooks and metadata.
  """
  if type(storage) is not Storage:
    raise ValueError("its pickle has a tensor without a storage")
  _check_metadata(others[2:])
  return torch_tensors.view(storage, offset, shape, strides, storage.dtype)


def _rebuild_tensor_v3(
  storage, offset, shape, strides, requires_grad, hooks, named, *metadata
) -> Tensor:
  """A tensor whose storage does not have its type."""
  dtype = _DTYPES.get(named.name) if type(named) is Callee else None
  if type(storage) is not Storage or dtype is None:
    raise ValueError("its pickle has a tensor of an unknown type")
  _check_metadata(metadata)
  return torch_tensors.view(storage, offset, shape, strides, dtype)


def _check_metadata(metadata: tuple[Any, ...]) -> None:
  """Raises ValueError for numbers that are stored negated or conjugated."""
  if any(metadata):
    raise Refused(
      "it has a tensor that is a lazy negation or conjugate of its numbers; "
      "save it again after tensor.resolve_neg().resolve_conj()"
    )


def _rebuild_parameter(tensor, requires_grad, hooks, state=None) -> Tensor:
  if type(tensor) is not Tensor:
    raise ValueError("its pickle has a parameter without a tensor")
  return tensor


def _ordered_dict(items=()) -> dict[Any, Any]:
  """Python 2 gives a list of pairs, Python 3 adds the items afterwards."""
  _check_kind(items, list, tuple)
  flat = []
  for each in items:
    _check_kind(each, list, tuple)
    key, value = each
    flat += (key, value)
  return pairs(flat)


def _counter(counts=None) -> dict[Any, Any]:
  return {} if type(counts) is not dict else counts


def _namespace() -> dict[Any, Any]:
  """Options of a command; they are a state, which is left out."""
  return {}


def _set(items=()) -> set[Any]:
  _check_kind(items, list, tuple)
  return set(map(simple, items))


def _complex(real, imaginary) -> complex:
  for each in (real, imaginary):
    _check_kind(each, float, int)
  return complex(real, imaginary)


def _encoded(text, encoding="latin1") -> bytes:
  """Bytes, which protocols before 3 write as text."""
  _check_kind(text, str)
  if type(encoding) is not str or encoding not in ("latin1", "latin-1"):
    raise ValueError("its pickle has bytes in another encoding than latin1")
  return text.encode("latin-1")


def _byte_array(content=b"", *encoding) -> bytearray:
  return bytearray(
    content if type(content) is bytes else _encoded(content, *encoding)
  )


def _size(sizes) -> tuple[int, ...]:
  return naturals(tuple(sizes) if type(sizes) is list else sizes, "shape")


def _device(kind, index=0) -> str:
  _check_kind(kind, str)
  return kind


def _check_kind(value: Any, *kinds: type) -> None:
  if type(value) not in kinds:
    raise ValueError(
      f"its pickle gives a {type(value).__name__} to an object that needs a "
      f"{kinds[0].__name__}"
    )


_BUILDERS: dict[str, Callable[..., Any] | None] = {
  **dict.fromkeys((*_STORAGES, *_DTYPES)),
  "torch._utils._rebuild_tensor": _rebuild_tensor,
  "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
  "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
  "torch._utils._rebuild_parameter": _rebuild_parameter,
  "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
  "torch.Size": _size,
  "torch.device": _device,
  "collections.OrderedDict": _ordered_dict,
  "collections.Counter": _counter,
  "argparse.Namespace": _namespace,
  "_codecs.encode": _encoded,
  **{
    f"{module}.{name}": build
    for module in ("builtins", "__builtin__")
    for name, build in (
      ("set", _set),
      ("complex", _complex),
      ("bytearray", _byte_array),
    )
  },
}
CALLEES = {name: Callee(name, build) for name, build in _BUILDERS.items()}
