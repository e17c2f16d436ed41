"""The commands for weight files."""

import json
import pathlib

import cv2
import numpy as np
import pytest
import torch_files
from weight_files import random_variables

from jaxvision import cli, models, weights
from jaxvision.weights import class_names, formats


@pytest.fixture(scope="module")
def file(tmp_path_factory):
  """A complete ViT-Ti/16 with random weights, for images of 32 pixels."""
  path = tmp_path_factory.mktemp("weights") / "vit.npz"
  model = models.create("vit_ti16", num_classes=1000)
  weights.save(path, "vit_ti16", random_variables(model, 32))
  return str(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
  """A folder of images of two classes, in a training and a test split."""
  folder = tmp_path_factory.mktemp("images")
  rng = np.random.default_rng(0)
  for split, count in (("train", 6), ("test", 4)):
    for label, name in enumerate(("dark", "light")):
      place = folder / split / name
      place.mkdir(parents=True)
      for i in range(count):
        noise = rng.integers(0, 60, (40, 50, 3))
        cv2.imwrite(str(place / f"{i}.png"), noise + 150 * label)
  return folder


def test_published_files_are_listed(capsys):
  assert cli.main(["weights", "list", "bit_r50x1"]) == 0
  printed = capsys.readouterr().out
  assert "gs://bit_models/BiT-M-R50x1.npz" in printed
  assert "-1 to 1" in printed
  assert cli.main(["weights", "list", "torchvision/resnet50*"]) == 0
  printed = capsys.readouterr().out
  assert "sha256_prefix" in printed and " 0676ba61 " in printed
  assert cli.main(["weights", "list", "no_such_model"]) == 2


def test_a_file_is_inspected(file, capsys):
  assert cli.main(["weights", "inspect", file]) == 0
  printed = capsys.readouterr().out
  assert "cls  (1, 1, 192)  float32" in printed
  assert "1000 classes" in printed
  assert "vit_ti16: +0 parameters in the body" in printed


@pytest.mark.slow
def test_a_file_is_converted_there_and_back(file, tmp_path, capsys):
  timm, again = str(tmp_path / "vit.safetensors"), str(tmp_path / "vit.npz")
  for source, target in ((file, timm), (timm, again)):
    arguments = ["weights", "convert", source, target, "--model", "vit_ti16"]
    assert cli.main(arguments) == 0
  with np.load(file) as first, np.load(again) as second:
    assert first.keys() == second.keys()
    for key in first:
      np.testing.assert_array_equal(first[key], second[key])
  assert cli.main(["weights", "convert", file, timm]) == 2
  assert "--model" in capsys.readouterr().err


def test_a_file_for_rectangles_is_converted_and_used(tmp_path, images, capsys):
  """2x4 patches and the class token, or 3x3 patches: the file is ambiguous."""
  source, target = tmp_path / "vit.safetensors", tmp_path / "vit.npz"
  model = models.create("vit_ti16", num_classes=10, depth=1)
  variables = random_variables(model, (32, 64))
  weights.save(source, "vit_ti16", variables, model=model)
  arguments = ["weights", "convert", str(source), str(target)]
  arguments += ["--model", "vit_ti16"]
  assert cli.main([*arguments, "--image_size", "32x64"]) == 0
  assert weights.native_size(target, "vit_ti16") == (32, 64)
  image = str(images / "test" / "dark" / "0.png")
  predict = ["predict", "--weights", str(target), "--model", "vit_ti16", image]
  assert cli.main(predict) == 0
  capsys.readouterr()


def test_predicts_with_weights_alone(file, images, capsys):
  image = str(images / "test" / "dark" / "0.png")
  arguments = ["predict", "--weights", file, "--model", "vit_ti16", image]
  assert cli.main([*arguments, "--json", "--top", "3"]) == 0
  (found,) = json.loads(capsys.readouterr().out)
  assert len(found["top"]) == 3
  assert not found["top"][0]["class"].isdecimal()  # a name of ImageNet
  assert cli.main(["predict", "--weights", file, image]) == 2
  assert "weights inspect" in capsys.readouterr().err
  assert cli.main(["predict", image]) == 2


@pytest.fixture
def two_networks(file, tmp_path):
  """The file for timm, and as "teacher" of a file of torch, beside zeros."""
  plain = tmp_path / "timm.safetensors"
  arguments = ["weights", "convert", file, str(plain), "--model", "vit_ti16"]
  assert cli.main(arguments) == 0
  arrays = formats.open_file(plain).arrays
  formats.write(plain, arrays)  # without our note on the activation
  named = {f"teacher.{key}": array for key, array in arrays.items()}
  named |= {f"student.{key}": 0 * array for key, array in arrays.items()}
  path = tmp_path / "dino.pth"
  path.write_bytes(torch_files.saved(named))
  return str(plain), str(path)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "evaluate", "probe", "export"])
def test_every_command_takes_a_part(
  command, two_networks, images, tmp_path, capsys
):
  given = {
    "predict": [str(images / "test" / "dark" / "0.png"), "--json"],
    "evaluate": ["--data", str(images), "--json"],
    "probe": ["--data", str(images), "--probes", "knn(k=3)", "--json"],
    "export": [str(tmp_path / "model.jax")],
  }
  names = tmp_path / "names.txt"
  names.write_text("dark\nlight\n" + "".join(f"{n}\n" for n in range(998)))
  said = []
  plain, two = two_networks
  for source in (plain, f"{two}#teacher"):
    arguments = [command, *given[command], "--weights", source]
    arguments += ["--model", "vit_ti16", "--class_names", str(names)]
    arguments += ["--preprocessing", "timm"]  # a JSON file is beside one
    capsys.readouterr()
    assert cli.main(arguments) == 0
    said.append(capsys.readouterr().out)
  if command == "predict":
    assert said[0] == said[1]
  arguments = [command, *given[command], "--weights", two]
  assert cli.main([*arguments, "--model", "vit_ti16"]) == 2
  assert "several networks" in capsys.readouterr().err


@pytest.mark.slow
def test_a_part_is_converted(two_networks, tmp_path):
  plain, two = two_networks
  first, second = pathlib.Path(plain), tmp_path / "teacher.safetensors"
  arguments = ["weights", "convert", f"{two}#teacher", str(second)]
  assert cli.main([*arguments, "--model", "vit_ti16"]) == 0
  expected, found = (formats.open_file(path).arrays for path in (first, second))
  assert expected.keys() == found.keys()
  for key, array in expected.items():
    np.testing.assert_array_equal(array, found[key])


@pytest.mark.slow
def test_names_of_classes_come_from_a_file(file, images, tmp_path, capsys):
  image = str(images / "test" / "dark" / "0.png")
  names = tmp_path / "names.txt"
  names.write_text("".join(f"kind {n}\n" for n in range(1000)), "utf-8")
  arguments = ["predict", "--weights", file, "--model", "vit_ti16", image]
  assert cli.main([*arguments, "--class_names", str(names)]) == 0
  assert "  kind " in capsys.readouterr().out
  names.write_text("one\ntwo\n", "utf-8")
  assert cli.main([*arguments, "--class_names", str(names)]) == 2
  assert "2 lines, and the weights have 1000" in capsys.readouterr().err


@pytest.mark.slow
def test_names_of_imagenet_21k_are_downloaded_or_omitted(
  file, images, monkeypatch, capsys
):
  monkeypatch.setattr(class_names, "IMAGENET_21K_CLASSES", 1000)
  monkeypatch.setattr(class_names, "imagenet_1k", lambda: ())
  image = str(images / "test" / "dark" / "0.png")
  arguments = ["predict", "--weights", file, "--model", "vit_ti16", image]
  lemmas = tuple(f"lemma {n}" for n in range(1000))
  monkeypatch.setattr(class_names, "imagenet_21k", lambda: lemmas)
  assert cli.main(arguments) == 0
  assert "  lemma " in capsys.readouterr().out

  def offline():
    raise ConnectionError("no network: put the file there")

  monkeypatch.setattr(class_names, "imagenet_21k", offline)
  assert cli.main([*arguments, "--json"]) == 0
  said = capsys.readouterr()
  assert '"class": "' in said.out and "lemma" not in said.out
  assert "put the file there" in said.out + said.err


def test_a_run_in_place_of_a_file_is_explained(images, tmp_path, capsys):
  image = str(images / "test" / "dark" / "0.png")
  folder = str(tmp_path)
  arguments = ["predict", "--weights", folder, "--model", "vit_ti16", image]
  assert cli.main(arguments) == 2
  assert f"give --workdir {folder}" in capsys.readouterr().err


@pytest.mark.slow
def test_probes_frozen_features(file, images, capsys):
  arguments = ["probe", "--weights", file, "--model", "vit_ti16"]
  arguments += ["--data", str(images), "--probes", "knn(k=3),pixels/knn(k=3)"]
  assert cli.main([*arguments, "--json", "--batch_size", "4"]) == 0
  found = json.loads(capsys.readouterr().out)
  assert found["pixels/knn(k=3)"]["top1"] == 1.0
  assert 0 <= found["knn(k=3)"]["top1"] <= 1


@pytest.mark.slow
def test_exports(file, tmp_path):
  target = tmp_path / "model.jax"
  arguments = ["export", str(target), "--weights", file]
  assert cli.main([*arguments, "--model", "vit_ti16"]) == 0
  assert target.stat().st_size > 4 * 5_000_000
  assert len(target.with_suffix(".txt").read_text().splitlines()) == 1000


def test_overlapping_splits_of_a_probe_give_a_warning(file, images, capsys):
  arguments = ["probe", "--weights", file, "--model", "vit_ti16"]
  arguments += ["--data", str(images), "--train", "train", "--test", "train"]
  assert cli.main([*arguments, "--probes", "pixels/knn(k=1)"]) == 0
  said = "".join(capsys.readouterr())
  assert "examples of test ('train') are also in train ('train')" in said


def test_weights_are_measured_on_a_folder(file, images, tmp_path, capsys):
  """The accuracy equals the fraction of correct results of `predict`."""
  lines = [f"kind {n}" for n in range(1000)]
  names = tmp_path / "names.txt"
  names.write_text("\n".join(lines), "utf-8")
  source = ["--weights", file, "--model", "vit_ti16"]
  source += ["--class_names", str(names), "--json"]
  paths = sorted((images / "test").rglob("*.png"))
  assert cli.main(["predict", *source, *map(str, paths)]) == 0
  found = json.loads(capsys.readouterr().out)
  best = [each["top"][0]["class"] for each in found]
  # The class of the first image has the name of its folder.
  lines[lines.index(best[0])] = "dark"
  lines[next(i for i in range(1000) if lines[i] not in best)] = "light"
  names.write_text("\n".join(lines), "utf-8")
  right = [
    path.parent.name == "dark" and each == best[0]
    for path, each in zip(paths, best, strict=True)
  ]
  assert cli.main(["evaluate", *source, "--data", str(images)]) == 0
  measured = json.loads(capsys.readouterr().out)
  assert measured["top1"] == sum(right) / len(paths) > 0
  assert measured["data"] == str(images) and "step" not in measured
