"""The compared loaders: the same work, each in its usual way.

A loader is a file in this folder with a function
`batches(folder, *, batch_size, workers)`. It yields endless batches from
FOLDER/CLASS/*.jpg: decode, random resized crop to 224 pixels (area 8 to 100 %,
ratio 3/4 to 4/3), flip half of them. `workers` is the number of threads or
processes that the loader uses in its usual way; 0 means none.
"""

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

SIZE = 224
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
# Of ImageNet, in grey levels, for loaders that normalise on the host.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclasses.dataclass(frozen=True)
class Loader:
  """A loader and its options.

  Attributes:
    what: its description in the table.
    module: the file.
    packages: import names of the packages that it needs.
    options: of its `batches`.
  """

  what: str
  module: str
  packages: Sequence[str]
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


LOADERS = {
  "jaxvision": Loader("jaxvision: uint8", "ours", ()),
  "tf_uint8": Loader(
    "tf.data: decode_and_crop_jpeg, fast DCT, uint8",
    "tf_data",
    ("tensorflow",),
    {"normalize": False},
  ),
  "tf_float32": Loader(
    "tf.data: decode_and_crop_jpeg, float32, normalised",
    "tf_data",
    ("tensorflow",),
    {"normalize": True},
  ),
  "torch": Loader(
    "torch DataLoader, Pillow, float32, normalised", "torch_pillow", ("torch",)
  ),
  "grain": Loader("Grain, Pillow, uint8", "grain_pillow", ("grain",)),
  "decoder": Loader(
    "the limit: libjpeg-turbo alone, whole files", "decoder", ()
  ),
}


def missing(name: str) -> str:
  """Returns the missing packages of a loader; empty if none is missing."""
  absent = [
    package
    for package in LOADERS[name].packages
    if importlib.util.find_spec(package) is None
  ]
  return " and ".join(absent)
