"""Oxford 102 Flowers (Nilsback and Zisserman 2008).

imagelabels.mat contains the classes, from 1, of image_00001.jpg and so on.
setid.mat contains the numbers of the images of each split.
"""

import pathlib
from collections.abc import Mapping

from jaxvision.data.formats import refusal
from jaxvision.data.preparation import archives, recipe

_NAME = "oxford_flowers102"
_SPLITS = {"train": "trnid", "validation": "valid", "test": "tstid"}
_IMAGES, _LABELS, _SETS = "102flowers.tgz", "imagelabels.mat", "setid.mat"


def _load(
  files: Mapping[str, pathlib.Path], scratch: pathlib.Path
) -> recipe.Splits:
  from scipy import io

  archive = archives.decompressed(files[_IMAGES], scratch=scratch)
  found = {
    pathlib.PurePath(each.name).name: each for each in archives.members(archive)
  }
  tables = {}
  for name, keys in ((_LABELS, ("labels",)), (_SETS, _SPLITS.values())):
    what = f"{files[name]} is not a table of {_NAME}"
    with refusal.naming(what, remedy="download it again"):
      found_tables = io.loadmat(files[name])
      tables |= {key: found_tables[key][0].tolist() for key in keys}
  names = recipe.published_names(_NAME)
  splits = {}
  for split, key in _SPLITS.items():
    numbers = tables[key]
    if missing := [n for n in numbers if _file(n) not in found]:
      raise ValueError(
        f"{files[_IMAGES]} lacks {len(missing)} of the {len(numbers)} images "
        f"of {split}, such as {_file(missing[0])}; download it again"
      )
    splits[split] = archives.as_dataset(
      [(found[_file(n)], int(tables["labels"][n - 1]) - 1) for n in numbers],
      name=_NAME,
      split=split,
      class_names=names,
    )
  return splits


def _file(number: int) -> str:
  return f"image_{number:05d}.jpg"


FLOWERS = recipe.Recipe(
  name=_NAME,
  version="2.1.1",
  address="https://www.robots.ox.ac.uk/~vgg/data/flowers/102",
  files={
    _IMAGES: "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
    _LABELS: "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
    _SETS: "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
  },
  counts={"train": 1020, "validation": 1020, "test": 6149},
  encoding="jpeg",
  shape=(None, None, 3),
  load=_load,
)
