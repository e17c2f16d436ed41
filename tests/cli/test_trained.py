"""`evaluate`, `predict` and `export` of a run, on its own and other data."""

import csv
import io
import json
import re

import background_sets
import jax
import numpy as np
import pytest
import spawned
import tiny_runs
from PIL import Image

from jaxvision import cli, inference, training
from jaxvision.files import suffixes

NAMES = ("ant", "bee", "=cat()")
SIDE = 8


def _images(count, *, seed):
  """Images (n, 8, 8, 3) with one colour per class, and labels."""
  rng = np.random.default_rng(seed)
  labels = np.arange(count) % 3
  images = rng.integers(0, 120, (count, SIDE, SIDE, 3))
  images[np.arange(count), :, :, labels] += 120
  return images.astype(np.uint8), labels


def _write(path, images, labels, names):
  np.savez(path, images=images, labels=labels, class_names=np.asarray(names))
  return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run with a moving average, on three classes of 8x8 pixels."""
  folder = tmp_path_factory.mktemp("trained")
  path = _write(folder / "own.npz", *_images(48, seed=0), NAMES)
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=folder / "run",
    overrides={
      "model.options": {"hidden": (8,)},
      "data.kind": "npz",
      "data.name": path,
      "data.channels": 3,
      "data.train": "train[:32]",
      "data.validation": "train[32:]",
      "data.test": "train[32:]",
      "data.device_transforms": (),
      "train.batch_size": 16,
      "train.steps_per_dispatch": 1,
      "train.duration": "12 steps",
      "evaluate.every": "12 steps",
      "ema.decay": 0.9,
      "log.tensorboard": False,
    },
  )
  return folder / "run"


def _evaluate(run, path, capsys, *more):
  words = ["evaluate", "--workdir", str(run), "--data", path, *more]
  code = cli.main([*words, "--json"])
  said = capsys.readouterr()
  return code, json.loads(said.out) if code == 0 else said.err


@pytest.mark.slow
def test_other_data_are_measured(trained, tmp_path, capsys):
  """Classes are matched by name, not by order; some may be missing."""
  images, labels = _images(30, seed=1)
  order = np.array([2, 0, 1])  # of the names
  other = _write(
    tmp_path / "other.npz",
    *(images, np.argsort(order)[labels], [NAMES[i] for i in order]),
  )
  code, found = _evaluate(trained, other, capsys, "--split", "train")
  run = inference.load_run(trained)
  mean, std = run.config.data.mean[0], run.config.data.std[0]
  pixels = ((images / 255 - mean) / std).astype(np.float32)
  logits = np.asarray(run.model.apply(run.variables, pixels, train=False))
  assert code == 0 and (found["data"], found["split"]) == (other, "train")
  assert found["top1"] == pytest.approx((logits.argmax(1) == labels).mean())
  two = labels < 2
  part = _write(tmp_path / "part.npz", images[two], labels[two], NAMES[:2])
  code, found = _evaluate(trained, part, capsys, "--split", "train[:50%]")
  right = (logits.argmax(1) == labels)[two][:10]
  assert code == 0 and found["top1"] == pytest.approx(right.mean())
  assert all(np.isfinite(found[name]) for name in found if name[0] in "lprf")


@pytest.mark.slow
def test_images_of_another_size_are_resized(trained, tmp_path, capsys):
  images, labels = _images(30, seed=1)
  larger = images.repeat(3, axis=1).repeat(3, axis=2)
  paths = [
    _write(tmp_path / f"{n}.npz", each, labels, NAMES)
    for n, each in enumerate((images, larger))
  ]
  found = [
    _evaluate(trained, path, capsys, "--split", "train")[1] for path in paths
  ]
  assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-5)


def test_unknown_classes_are_refused(trained, tmp_path, capsys):
  other = _write(tmp_path / "o.npz", *_images(9, seed=1), ("ant", "bee", "yak"))
  code, error = _evaluate(trained, other, capsys, "--split", "train")
  assert code == 2
  assert "1 classes of 3 that the network does not have: yak" in error
  assert "ant, bee, =cat()" in error


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["--split", "tset"], "--split tset is not a split of the run"),
    (["--model", "mlp"], "--model needs --weights"),
    (["--mean", "0.5"], "--mean needs --weights"),
    (["--image_size", "8"], "--image_size needs --weights"),
  ],
)
def test_inconsistent_flags_are_an_error(trained, words, message, capsys):
  assert cli.main(["evaluate", "--workdir", str(trained), *words]) == 2
  assert message in capsys.readouterr().err


def test_weights_need_a_named_data_set(capsys):
  assert cli.main(["evaluate", "--weights", "a.npz", "--model", "mlp"]) == 2
  assert "give --data" in capsys.readouterr().err


def test_evaluate_reports_the_use_of_the_average(trained, capsys):
  assert cli.main(["evaluate", "--workdir", str(trained)]) == 0
  said = capsys.readouterr().out
  assert "moving average of the parameters" in said
  assert "step 12, test\n" in said
  words = ["evaluate", "--workdir", str(trained), "--json"]
  assert cli.main(words) == 0
  said = capsys.readouterr()
  assert "moving average" in said.err
  assert json.loads(said.out)["step"] == 12


@pytest.fixture
def images(tmp_path):
  """Two image files, and one that cannot be read."""
  paths = [tmp_path / name for name in ("one, two.png", "three.png", "b.png")]
  for path, image in zip(paths, _images(2, seed=2)[0], strict=False):
    Image.fromarray(image).save(path)
  paths[2].write_bytes(b"no image")
  return [str(path) for path in paths]


def _predict(trained, capsys, *words):
  assert cli.main(["predict", "--workdir", str(trained), *words]) == 2
  said = capsys.readouterr()
  assert "1 of 3 could not be read" in said.err
  return said.out


def test_rows_of_classes(trained, images, capsys):
  found = _predict(trained, capsys, *images, "--json", "--top", "3")
  text = _predict(trained, capsys, *images, "--csv", "--top", "3")
  rows = list(csv.DictReader(io.StringIO(text)))
  assert [row["image"] for row in rows] == [
    *([images[0]] * 3 + [images[1]] * 3 + [images[2]])
  ]
  named = [each for image in json.loads(found) for each in image.get("top", ())]
  for row, each in zip(rows, named, strict=False):
    # A spreadsheet would compute a cell that starts with "=".
    assert row["class"].removeprefix("'") == each["class"]
    assert not row["class"].startswith("=")
    assert float(row["probability"]) == each["probability"]
  assert [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
  assert rows[-1]["error"].startswith("not an image")


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_an_invalid_number_of_classes_is_an_error(top, capsys):
  with pytest.raises(SystemExit):
    cli.main(["predict", "--workdir", "run", "--top", top, "a.png"])
  assert "--top" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["a.onnx"], "ONNX cannot be written"),
    (["a.ONNX", "--format", "jax"], "ONNX cannot be written"),
    (["a.jax", "--format", "onnx"], "ONNX cannot be written"),
    (["a.jax", "--format=tflite"], "unknown format 'tflite'"),
  ],
)
def test_the_refusal_of_a_format_lists_those_that_exist(
  words, expected, trained, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  assert cli.main(["export", *words, "--workdir", str(trained)]) == 2
  error = capsys.readouterr().err
  assert expected in error
  for name in ("'jax'", ".safetensors", ".npz"):
    assert name in error
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.pt", "a.txt", "a.TFLITE"])
def test_an_export_with_a_wrong_suffix_is_refused(
  trained, name, tmp_path, capsys
):
  target = tmp_path / name
  assert cli.main(["export", str(target), "--workdir", str(trained)]) == 2
  error = capsys.readouterr().err
  assert "jax.export" in error and "a.jax" in error
  assert not list(tmp_path.iterdir())


def test_export_prints_the_input_shape(trained, tmp_path, capsys):
  target = str(tmp_path / "model.jax")
  run = ["--workdir", str(trained)]
  assert cli.main(["export", target, "--format", "jax", *run]) == 0
  said = capsys.readouterr().out
  assert "step 12, moving average of the parameters" in said
  assert "uint8 images (b, 8, 8, 3)" in said


@pytest.mark.parametrize(
  ("path", "passes"),
  [
    ("page.html", True),
    ("page.HTM", True),
    ("page", True),
    ("page.v2", True),
    ("page.pdf", False),
    ("page.PNG", False),
  ],
)
def test_suffixes_of_other_formats_are_refused(path, passes):
  if passes:
    suffixes.check(path, ".html", ".htm", what="HTML")
    return
  with pytest.raises(ValueError, match=r"name it page\.html"):
    suffixes.check(path, ".html", ".htm", what="HTML")


def test_outputs_need_the_right_extension(trained, tmp_path, capsys):
  runs = [str(trained)] * 2
  page = str(tmp_path / "both.pdf")
  assert cli.main(["report", *runs, "--output", page]) == 2
  assert "both.html" in capsys.readouterr().err
  own = str(trained.parent / "own.npz")
  sheet = str(tmp_path / "sheet.jpg")
  assert cli.main(["data", "inspect", own, "--sheet", sheet]) == 2
  assert "sheet.png" in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_versions(capsys):
  assert cli.main(["--version"]) == 0
  versions, devices = capsys.readouterr().out.splitlines()
  assert versions.startswith("jaxvision ") and ", jax 0." in versions
  assert devices == f"devices: {jax.device_count()} cpu"


def test_versions_without_a_device(capsys, monkeypatch):
  def fail():
    raise RuntimeError("Unknown backend: 'tpu' requested\nand more")

  monkeypatch.setattr(jax, "devices", fail)
  assert cli.main(["--version"]) == 0
  devices = capsys.readouterr().out.splitlines()[1]
  assert devices == "devices: none; Unknown backend: 'tpu' requested"


@pytest.mark.slow  # Two compilations of a ResNet.
def test_converted_weights_keep_their_preprocessing(tmp_path, capsys):
  """A run with other mean and std predicts the same as a file of timm."""
  images, _ = _images(1, seed=3)
  Image.fromarray(images[0]).save(tmp_path / "a.png")
  run = tmp_path / "run"
  path = _write(tmp_path / "own.npz", *_images(48, seed=0), NAMES)
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=run,
    overrides={
      "model.name": "resnet18",
      "model.options": {"stem": "small", "features": 4, "blocks": (1, 1)},
      "data.kind": "npz",
      "data.name": path,
      "data.channels": 3,
      "data.train": "train",
      "data.validation": "",
      "data.test": "",
      "data.mean": (0.3, 0.2, 0.1),
      "data.std": (0.4,),
      "data.device_transforms": (),
      "train.batch_size": 16,
      "train.steps_per_dispatch": 1,
      "train.duration": "2 steps",
      "log.tensorboard": False,
    },
  )
  file = str(tmp_path / "net.safetensors")
  assert cli.main(["weights", "convert", str(run), file]) == 0
  said = capsys.readouterr().out
  assert "net.preprocessing.json" in said
  found = []
  for words in (
    ["--workdir", str(run)],
    ["--weights", file, "--model", "resnet18"],
  ):
    image = str(tmp_path / "a.png")
    assert cli.main(["predict", *words, "--json", image]) == 0
    found.append(json.loads(capsys.readouterr().out)[0]["top"])
  shares = [[each["probability"] for each in top] for top in found]
  np.testing.assert_allclose(*shares, rtol=1e-5)


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
  """The layout of ImageNet-9 with the classes of the run."""
  root = tmp_path_factory.mktemp("variants")
  colours = np.eye(3) * 200 + 40
  background_sets.write_release(
    root, NAMES, per_class=2, colours=colours.astype(np.uint8)
  )
  return str(root)


def test_a_suite_is_a_table(trained, variants, capsys):
  words = ["evaluate", "--workdir", str(trained), "--data", variants]
  words += ["--suite", "backgrounds(batch_size=16)"]
  assert cli.main(words) == 0
  said = capsys.readouterr().out
  for name in (*background_sets.VARIANTS, "bg_gap", "bg_irrelevant"):
    assert re.search(rf"^  {name} +-?[01]\.\d{{4}}$", said, re.M), name
  code, found = _evaluate(
    trained, variants, capsys, "--suite", "backgrounds(batch_size=16)"
  )
  assert code == 0 and found["data"] == variants
  run = inference.load_run(trained)
  call = f"backgrounds({variants!r})"
  measured = inference.evaluate_suite(run, call)
  assert found == {
    "suite": "backgrounds(batch_size=16)",
    "data": variants,
    **measured.metrics,
    **measured.details,
  }


def test_the_challenge_names_the_best_backgrounds(trained, variants, capsys):
  code, found = _evaluate(
    trained, variants, capsys, "--suite", "backgrounds_challenge"
  )
  assert code == 0 and found["foregrounds"] == found["backgrounds"] == 6
  assert set(found["best_backgrounds"]) == set(NAMES)
  assert {f"attacked_by/{name}" for name in NAMES} < set(found)


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["--suite", "backgrounds"], "--suite needs --data"),
    (["--data", "a", "--suite", "background"], "unknown suite 'background'"),
    (["--data", "a", "--suite", "backgrounds"], "expected at least one of"),
    (
      ["--data", "a", "--suite", "backgrounds", "--split", "train"],
      "options of the suite",
    ),
  ],
)
def test_wrong_suites_are_an_error(trained, words, message, capsys):
  assert cli.main(["evaluate", "--workdir", str(trained), *words]) == 2
  assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  "option", ["--crop_fraction=0.9", "--interpolation=bicubic"]
)
def test_a_suite_has_no_crop(variants, option, capsys):
  words = ["--weights", "a.pth", "--model=linear", "--data", variants, option]
  assert cli.main(["evaluate", *words, "--suite=backgrounds"]) == 2
  assert "resizes images to the input" in capsys.readouterr().err


def test_a_suite_of_the_user(trained, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "my_suite.py").write_text(
    "from jaxvision.evaluation import network\n\n\n"
    "def create(root, k=1):\n"
    "  def make(of):\n"
    "    metrics = {'classes': len(of.class_names) * k}\n"
    "    return lambda variables: network.Outcome(metrics, {'root': root})\n"
    "  return make\n"
  )
  code, found = _evaluate(
    trained, "anywhere", capsys, "--suite", "my_suite.py:create(k=2)"
  )
  assert code == 0
  assert found["classes"] == 6 and found["root"] == "anywhere"


def test_a_run_of_a_fold_evaluates_predicts_and_is_probed(tmp_path, capsys):
  """data.train names all folds, so its slice is no changed training split."""
  own = tiny_runs.write_data(tmp_path, shape=(8, 8, 1))
  tiny_runs.load_config(tmp_path)
  workdir = str(tmp_path / "run")
  training.train(
    str(tmp_path / "recipe.py"),
    workdir=workdir,
    overrides={"data.folds": 4, "data.fold": 3, "log.tensorboard": False},
  )
  capsys.readouterr()
  words = ["--workdir", workdir, "--split", "validation", "--json"]
  assert cli.main(["evaluate", *words]) == 0
  assert 0 <= json.loads(capsys.readouterr().out)["top1"] <= 1
  image = tmp_path / "image.png"
  Image.fromarray(np.full((8, 8), 200, np.uint8)).save(image)
  assert cli.main(["predict", str(image), "--workdir", workdir, "--json"]) == 0
  (found,) = json.loads(capsys.readouterr().out)
  assert "error" not in found
  words = ["--data", str(own), "--test", "validation", "--probes", "knn(k=3)"]
  assert cli.main(["probe", "--workdir", workdir, *words, "--json"]) == 0
  assert "knn(k=3)" in json.loads(capsys.readouterr().out)
  assert cli.main(["evaluate", "--workdir", workdir]) == 2
  assert "the run has no test split" in capsys.readouterr().err
