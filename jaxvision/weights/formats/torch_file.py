"""The files of torch.save: .pth, .pt, .bin, .ckpt.

A pickle describes nested dicts of tensors; the numbers are stored beside it.
Pickles can run code, so they are read by an interpreter that cannot, see
pickles.py. torch is not needed.

Arrays are views of the mapped file. Their checksums are verified by `check`
only: torch does not verify them either when it maps a file.
"""

import functools
import mmap
import pathlib

import numpy as np

from jaxvision.weights.formats import (
  array_file,
  named_tensors,
  torch_legacy,
  torch_zip,
)
from jaxvision.weights.formats.array_file import ArrayFile, Entry, Refused
from jaxvision.weights.formats.torch_tensors import Row, Tensor

_TAR = slice(257, 262)  # where a tar file has the word "ustar"


def read(path: pathlib.Path, mapping: mmap.mmap) -> ArrayFile:
  """Returns the arrays of a mapped file.

  Raises:
    Exception: the file is damaged, would run code or is not supported; the type
      varies.
  """
  if mapping[:4] == b"PK\3\4":
    value, rows = torch_zip.read(path, mapping)
  elif mapping[:1] == b"\x80":
    value, rows = torch_legacy.read(mapping)
  elif mapping[_TAR] == b"ustar":
    raise Refused(
      "it is a tar file, the form of torch before version 0.1.10, which is not "
      "supported. Load it with torch and save it again"
    )
  else:
    raise ValueError("it does not start as a file of torch.save does")
  found = named_tensors.find(value)

  @functools.cache  # a tensor that has many names has one entry
  def entry(tensor: Tensor) -> Entry:
    return _entry(tensor, rows[tensor.key], mapping)

  entries = {name: entry(tensor) for name, tensor in found.tensors.items()}
  return ArrayFile(path, entries, {}, parts=found.parts, lists=found.lists)


def _entry(tensor: Tensor, row: Row, mapping: mmap.mmap) -> Entry:
  offset = row.start + tensor.offset

  def load() -> np.ndarray:
    return np.ndarray(
      tensor.shape, tensor.dtype, row.buffer(), offset, tensor.strides
    )

  forget = array_file.nothing
  if row.is_mapped:
    forget = functools.partial(
      array_file.forget, mapping, offset, tensor.length
    )
  return Entry(tensor.shape, tensor.dtype, load, row.check, forget)
