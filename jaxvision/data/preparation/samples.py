"""The sample pictures of foolbox (Rauber et al. 2020): 20 of five data sets.

They check labels and preprocessing: real test pictures, with the label in the
file name, as in foolbox/data/cifar10_00_3.png. Labels count as in
tensorflow-datasets; those of ImageNet as in torchvision, which is the same
order.
"""

import functools
import pathlib
import re
import zipfile
from collections.abc import Mapping

from jaxvision.data.formats import refusal
from jaxvision.data.preparation import cifar_names, in_memory, recipe

_WHEEL = "foolbox-3.3.4-py3-none-any.whl"
_SHA256 = "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb"
_FOLDER = "foolbox/data/"
# Those that tensorflow-datasets does not know without the data.
_CLASSES = {"cifar10": cifar_names.CIFAR10, "cifar100": cifar_names.CIFAR100}


def _load(
  of: str, prefix: str, files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  del scratch
  (wheel,) = files.values()
  what = f"{wheel} is not a complete wheel"
  with (
    refusal.naming(what, remedy="download it again"),
    zipfile.ZipFile(wheel) as archive,
  ):
    contents = {
      pathlib.PurePosixPath(name).name: archive.read(name)
      for name in archive.namelist()
      if name.startswith(f"{_FOLDER}{prefix}_")
    }
  return _splits(of, prefix, contents)


def _load_folder(
  of: str, prefix: str, folder: pathlib.Path
) -> recipe.Splits | None:
  """The pictures of the installed package, or of the unpacked wheel."""
  pattern = _pattern(prefix)
  for root in (folder, folder / "data", folder / _FOLDER):
    found = [each for each in root.glob("*") if pattern.fullmatch(each.name)]
    if found:
      contents = {path.name: path.read_bytes() for path in found}
      return _splits(of, prefix, contents)
  return None


def _splits(
  of: str, prefix: str, contents: Mapping[str, bytes]
) -> recipe.Splits:
  """The pictures as one split, "test"."""
  labels = {
    name: int(match["label"])
    for name in sorted(contents)
    if (match := _pattern(prefix).fullmatch(name))
  }
  return {
    "test": in_memory.from_contents(
      {name: contents[name] for name in labels},
      list(labels.values()),
      name=of.replace("2012", "") + "_samples",
      split="test",
      class_names=_CLASSES.get(of) or recipe.published_names(of),
    )
  }


def _pattern(prefix: str) -> re.Pattern[str]:
  return re.compile(rf"{prefix}_\d\d_(?P<label>\d+)\.(png|jpg)")


def _recipe(
  of: str,
  *,
  prefix: str,
  encoding: str,
  shape: tuple[int | None, int | None, int],
) -> recipe.Recipe:
  return recipe.Recipe(
    name=of.replace("2012", "") + "_samples",
    version="3.3.4",
    address="https://pypi.org/project/foolbox/3.3.4/#files",
    files={_WHEEL: _SHA256},
    counts={"test": 20},
    encoding=encoding,
    shape=shape,
    load=functools.partial(_load, of, prefix),
    load_folder=functools.partial(_load_folder, of, prefix),
  )


SAMPLES = (
  _recipe("cifar10", prefix="cifar10", encoding="png", shape=(32, 32, 3)),
  _recipe("cifar100", prefix="cifar100", encoding="png", shape=(32, 32, 3)),
  _recipe(
    "fashion_mnist", prefix="fashionMNIST", encoding="png", shape=(28, 28, 1)
  ),
  _recipe(
    "imagenet2012", prefix="imagenet", encoding="jpeg", shape=(512, 512, 3)
  ),
  _recipe("mnist", prefix="mnist", encoding="png", shape=(28, 28, 1)),
)
