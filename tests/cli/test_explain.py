"""`jaxvision explain`, and the suite of explanations, of a small run."""

import json

import background_sets
import numpy as np
import pytest
import spawned
from PIL import Image

from jaxvision import cli, report, training

NAMES = ("cat", "ant", "bee")
SIDE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A run on three classes, with images and a file that is no image."""
  folder = tmp_path_factory.mktemp("explained")
  path = folder / "data.npz"
  images, _, _ = background_sets.write_cut_outs(
    path, classes=NAMES, per_class=8, side=SIDE
  )
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=folder / "run",
    overrides={
      "model.options": {"hidden": (4,)},
      "data.kind": "npz",
      "data.name": str(path),
      "data.channels": 3,
      "data.train": "train[:16]",
      "data.validation": "",
      "data.test": "train[16:]",
      "data.device_transforms": (),
      "train.batch_size": 8,
      "train.steps_per_dispatch": 1,
      "train.duration": "4 steps",
      "log.tensorboard": False,
    },
  )
  (folder / "images").mkdir()
  for number in range(2):
    Image.fromarray(images[number]).save(folder / "images" / f"{number}.png")
  (folder / "broken.png").write_bytes(b"no")
  return folder


def explain(folder, *words):
  return cli.main(
    [
      "explain",
      "--workdir",
      str(folder / "run"),
      *map(str, words),
      "--output",
      str(folder / "out"),
    ]
  )


def test_pictures_and_a_page_are_written(folder, capsys):
  methods = ("--method", "gradient,smoothgrad(samples=2, noise=0.1)")
  words = (*methods, "--method", "x_gradient", "--target", "ant", "--top", "2")
  assert explain(folder, folder / "images", *words) == 0
  said = capsys.readouterr().out
  assert "gradient, smoothgrad(samples=2, noise=0.1), x_gradient of ant" in said
  assert str(folder / "out" / report.EXPLANATIONS) in said
  assert {each.name for each in (folder / "out").iterdir()} == {
    *("0.png", "1.png", report.EXPLANATIONS)
  }


def test_json_lists_files_and_classes(folder, capsys):
  broken = folder / "broken.png"
  assert explain(folder, broken, folder / "images", "--json") == 2
  said = capsys.readouterr()
  assert "1 of 3 could not be read" in said.err
  found = json.loads(said.out)
  assert found["page"] == str(folder / "out" / report.EXPLANATIONS)
  unreadable, first, _ = found["images"]
  assert unreadable["image"] == str(broken)
  assert unreadable["error"].startswith("not an image")
  assert first["picture"] == str(folder / "out" / "0.png")
  assert first["methods"] == ["gradient"]
  words = ["predict", "--workdir", str(folder / "run"), first["image"]]
  assert cli.main([*words, "--json"]) == 0
  (predicted,) = json.loads(capsys.readouterr().out)
  assert first["top"] == predicted["top"]
  assert first["target"] == predicted["top"][0]["class"]


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (("--method", "gradcam"), "gradcam does not fit Mlp"),
    (("--method", "gradientt"), "did you mean 'gradient'"),
    (("--target", "catt"), "did you mean 'cat'"),
    (("--target", "3"), "expected 0 to 2"),
  ],
)
def test_what_does_not_exist_is_an_error(folder, words, message, capsys):
  assert explain(folder, folder / "images", *words) == 2
  assert message in capsys.readouterr().err


def test_your_own_method(folder, capsys, tmp_path, monkeypatch):
  (tmp_path / "mine.py").write_text(
    "def create(*, k=1):\n"
    "  return lambda model, variables, images, targets: (\n"
    "    k * images.sum(axis=-1)\n"
    "  )\n"
  )
  monkeypatch.chdir(tmp_path)
  words = ("--method", "gradient,mine.py:create(k=2)")
  assert explain(folder, folder / "images", *words, "--json") == 0
  found = json.loads(capsys.readouterr().out)["images"][0]
  assert found["methods"] == ["gradient", "mine.py:create(k=2)"]


def test_the_suite_prints_a_table(folder, capsys):
  words = ["evaluate", "--workdir", str(folder / "run")]
  words += ["--data", str(folder / "data.npz")]
  call = (
    "explanations(methods=('gradient', 'random'), split='train[:4]', step=32, "
    "tolerance=0)"
  )
  words += ["--suite", call]
  assert cli.main(words) == 0
  lines = [line.split() for line in capsys.readouterr().out.splitlines()]
  start = lines.index(["deletion", "insertion", "pointing", "sanity"])
  first, second = lines[start + 1 : start + 3]
  assert first[0] == "gradient" and second[0] == "random"
  assert cli.main([*words, "--json"]) == 0
  found = json.loads(capsys.readouterr().out)
  assert first[1] == f"{found['gradient/deletion']:.4f}"
  assert found["images"] == 4 and np.isfinite(found["random/insertion"])
