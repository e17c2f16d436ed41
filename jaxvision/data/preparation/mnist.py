"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017), idx files.

An idx file begins with two zero bytes, the type (8: unsigned bytes), the number
of dimensions, and the size of each dimension as 4 bytes, big endian.
"""

import functools
import math
import pathlib
from collections.abc import Mapping

import numpy as np

from jaxvision.data.preparation import archives, in_memory, recipe

_UNSIGNED_BYTES = 8
_PREFIXES = {"train": "train", "test": "t10k"}
_IMAGES, _LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"


def _load(
  name: str, files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  names = recipe.published_names(name)

  def read(prefix: str, suffix: str, dimensions: int) -> np.ndarray:
    path = files[f"{prefix}-{suffix}"]
    return _read(archives.decompressed(path, scratch=scratch), dimensions)

  return {
    split: in_memory.from_arrays(
      read(prefix, _IMAGES, 3)[..., None],
      read(prefix, _LABELS, 1).astype(np.int64),
      name=name,
      split=split,
      class_names=names,
    )
    for split, prefix in _PREFIXES.items()
  }


def _read(path: pathlib.Path, dimensions: int) -> np.ndarray:
  """The array of an idx file of unsigned bytes."""
  content = path.read_bytes()
  start = 4 * (dimensions + 1)
  shape = tuple(np.frombuffer(content[4:start], ">i4").tolist())
  magic = bytes((0, 0, _UNSIGNED_BYTES, dimensions))
  if content[:4] != magic or len(content) != start + math.prod(shape):
    raise ValueError(
      f"{path} is not a complete idx file of bytes with {dimensions} "
      f"dimensions: it has {len(content)} bytes and begins with "
      f"{content[:start].hex(' ', 4)}; download it again"
    )
  return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _recipe(name: str, address: str, sha256: tuple[str, ...]) -> recipe.Recipe:
  files = [
    f"{prefix}-{suffix}"
    for prefix in _PREFIXES.values()
    for suffix in (_IMAGES, _LABELS)
  ]
  return recipe.Recipe(
    name=name,
    version="3.0.1",
    address=address,
    files=dict(zip(files, sha256, strict=True)),
    counts={"train": 60_000, "test": 10_000},
    encoding="png",
    shape=(28, 28, 1),
    load=functools.partial(_load, name),
  )


MNIST = _recipe(
  "mnist",
  "https://storage.googleapis.com/cvdf-datasets/mnist",
  (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
  ),
)
FASHION_MNIST = _recipe(
  "fashion_mnist",
  "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
  (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
  ),
)
