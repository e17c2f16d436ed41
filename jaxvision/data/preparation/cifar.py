"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from their binary archives.

An example has one byte per label (for CIFAR-100 the coarse label, then the fine
label) and 3072 bytes of an image: red, green and blue, 32 rows of 32 pixels
each. The same images are also published as pickles, but unpickling can run any
code.
"""

import functools
import pathlib
from collections.abc import Mapping

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.preparation import archives, in_memory, recipe

_ADDRESS = "https://www.cs.toronto.edu/~kriz"
_SIDE, _CHANNELS = 32, 3
_TRAIN = {
  "cifar10": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
  "cifar100": ("train.bin",),
}
_TEST = {"cifar10": ("test_batch.bin",), "cifar100": ("test.bin",)}
_NAMES = {"cifar10": "batches.meta.txt", "cifar100": "fine_label_names.txt"}


def _load(
  name: str, files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  (packed,) = files.values()
  archive = archives.decompressed(packed, scratch=scratch)
  found = {
    pathlib.PurePath(each.name).name: each for each in archives.members(archive)
  }
  wanted = (*_TRAIN[name], *_TEST[name], _NAMES[name])
  if missing := [each for each in wanted if each not in found]:
    raise ValueError(
      f"{packed} lacks {', '.join(missing)}; download it again from {_ADDRESS}"
    )
  names = tuple(archives.read(found[_NAMES[name]]).decode().split())
  parts = {"train": _TRAIN[name], "test": _TEST[name]}
  return {
    split: _split(name, split, [found[each] for each in members], names)
    for split, members in parts.items()
  }


def _split(
  name: str,
  split: str,
  members: list[archives.Member],
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  label_bytes = 2 if name == "cifar100" else 1
  shape = (-1, label_bytes + _CHANNELS * _SIDE**2)
  for each in members:
    if each.size % shape[1]:
      raise ValueError(
        f"{each.name} in {each.archive} has {each.size} bytes; expected a "
        f"multiple of {shape[1]}; download the archive again"
      )
  content = b"".join(map(archives.read, members))
  rows = np.frombuffer(content, np.uint8).reshape(shape)
  labels = rows[:, label_bytes - 1].astype(np.int64)
  planes = rows[:, label_bytes:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
  images = planes.transpose(0, 2, 3, 1)
  return in_memory.from_arrays(
    images, labels, name=name, split=split, class_names=class_names
  )


CIFAR10 = recipe.Recipe(
  name="cifar10",
  version="3.0.2",
  address=_ADDRESS,
  files={
    "cifar-10-binary.tar.gz": (
      "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    )
  },
  counts={"train": 50_000, "test": 10_000},
  encoding="png",
  shape=(_SIDE, _SIDE, _CHANNELS),
  load=functools.partial(_load, "cifar10"),
  refused=("cifar-10-python.tar.gz", "cifar-10-batches-py"),
)
CIFAR100 = recipe.Recipe(
  name="cifar100",
  version="3.0.2",
  address=_ADDRESS,
  files={
    "cifar-100-binary.tar.gz": (
      "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
    )
  },
  counts={"train": 50_000, "test": 10_000},
  encoding="png",
  shape=(_SIDE, _SIDE, _CHANNELS),
  load=functools.partial(_load, "cifar100"),
  refused=("cifar-100-python.tar.gz", "cifar-100-python"),
)
