"""Inference with a run gives the outputs of its model."""

import dataclasses
import os
import shutil

import image_files
import jax
import numpy as np
import pytest
import spawned
from PIL import Image

from jaxvision import checkpoint, cli, data, inference, training, trees
from jaxvision.checkpoint import checkpoints, fingerprint
from jaxvision.inference import prediction

_CHANNELS = {"grey": 1, "colour": 3}


@pytest.fixture(scope="module", params=_CHANNELS)
def run(request, tmp_path_factory):
  """(workdir, loaded run) of an mlp on noise of 6x5 pixels in 3 classes."""
  channels = _CHANNELS[request.param]
  folder = tmp_path_factory.mktemp(request.param)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (48, 6, 5, channels)).astype(np.uint8)
  np.savez(folder / "noise.npz", images=images, labels=np.arange(48) % 3)
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=folder / "run",
    overrides={
      "model.options": {"hidden": (8,)},
      "data.kind": "npz",
      "data.name": str(folder / "noise.npz"),
      "data.channels": channels,
      "data.train": "train[:32]",
      "data.validation": "train[32:]",
      "data.test": "",
      "data.device_transforms": (),
      "train.batch_size": 16,
      "train.steps_per_dispatch": 1,
      "train.duration": "4 steps",
      "evaluate.every": "2 steps",
      "log.tensorboard": False,
    },
  )
  return folder / "run", inference.load_run(folder / "run")


def _write(path, shape):
  pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
  Image.fromarray(pixels).save(path)
  return path, pixels


def _by_hand(loaded, pixels):
  """Probabilities of one image (h, w, c) uint8, in plain numpy after logits."""
  mean, std = loaded.config.data.mean[0], loaded.config.data.std[0]
  images = (pixels[None] / 255 - mean) / std
  logits = loaded.model.apply(
    loaded.variables, images.astype(np.float32), train=False
  )
  exponents = np.exp(np.asarray(logits[0], np.float64))
  return exponents / exponents.sum()


def _probabilities(prediction):
  return {each["class"]: each["probability"] for each in prediction["top"]}


def _as_the_run_sees_it(loaded, path):
  channels = loaded.config.data.channels
  return data.decode(path.read_bytes(), channels=channels)


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_prediction_is_the_model_applied(run, shape, tmp_path):
  _, loaded = run
  path, _ = _write(tmp_path / "image.png", shape)
  (found,) = inference.predict(loaded, [path])
  expected = _by_hand(loaded, _as_the_run_sees_it(loaded, path))
  names = [each["class"] for each in found["top"]]
  assert names == [str(i) for i in np.argsort(-expected)]
  for name, probability in _probabilities(found).items():
    assert probability == pytest.approx(expected[int(name)], abs=1e-5)


def test_other_sizes_are_resized(run, tmp_path):
  _, loaded = run
  path, _ = _write(tmp_path / "large.png", (24, 30))
  (found,) = inference.predict(loaded, [path], top=1)
  resize = data.make_host_transform(["resize((6, 5))"])
  small = resize(None, _as_the_run_sees_it(loaded, path))
  assert small.shape[:2] == (6, 5)
  assert len(found["top"]) == 1
  assert found["top"][0]["probability"] == pytest.approx(
    _by_hand(loaded, small).max(), abs=1e-5
  )


def test_unreadable_files_do_not_stop_the_others(run, tmp_path):
  _, loaded = run
  path, _ = _write(tmp_path / "image.png", (6, 5))
  (tmp_path / "text.png").write_text("no image")
  found = inference.predict(
    loaded, [tmp_path / "text.png", tmp_path / "none.png", path]
  )
  assert ["error" in each for each in found] == [True, True, False]
  assert "No such file" in found[1]["error"]


def test_odd_files_do_not_stop_the_others(run, tmp_path):
  _, loaded = run
  path, _ = _write(tmp_path / "image.png", (6, 5))
  os.mkfifo(tmp_path / "pipe.png")
  with open(tmp_path / "sparse.jpg", "wb") as file:
    file.truncate(2**40)
  jpeg = bytearray(image_files.encode(image_files.PICTURE, "JPEG"))
  place = jpeg.index(b"\xff\xc0") + 5
  jpeg[place : place + 4] = b"\xff\xdc" * 2
  (tmp_path / "bomb.jpg").write_bytes(jpeg)
  names = ["pipe.png", "sparse.jpg", "bomb.jpg"]
  files = [tmp_path / name for name in names]
  found = inference.predict(loaded, [*files, path])
  reasons = [each.get("error", "") for each in found]
  for words, reason in zip(
    ("regular", "1,099,511,627,776 bytes", "data.max_pixels", ""),
    reasons,
    strict=True,
  ):
    assert words in reason
  assert reasons[3] == "" and found[3]["top"]


def test_variables_are_the_moving_average(run):
  workdir, loaded = run
  evaluation = inference.evaluate(loaded, role="validation")
  last = spawned.measured(workdir)[-1]
  assert evaluation.metrics["loss"] == last["validation_ema/loss"]
  assert evaluation.metrics["loss"] != last["validation/loss"]


def test_evaluation_sees_every_example_once(run):
  _, loaded = run
  sums = inference.evaluate(loaded, role="train").sums
  assert sums["confusion"].sum() == 32


def test_best_and_last_checkpoint_by_name_and_number(run):
  workdir, loaded = run
  assert loaded.step == 4
  best = spawned.result(workdir)["best"]["step"]
  assert inference.load_run(workdir, which="best").step == best
  named = inference.load_run(workdir, which="4")
  assert fingerprint.of(named.variables) == fingerprint.of(loaded.variables)


@pytest.mark.parametrize("which", ["3", "newest", ""])
def test_missing_checkpoints_are_an_error(run, which):
  workdir, _ = run
  with pytest.raises(FileNotFoundError, match="give last, best or a number"):
    inference.load_run(workdir, which=which)


def test_a_missing_split_is_an_error(run):
  _, loaded = run
  with pytest.raises(ValueError, match=r"no test split \(data\.test = ''\)"):
    inference.evaluate(loaded, role="test")


def test_data_with_other_classes_are_refused(run, tmp_path):
  workdir, loaded = run
  path = workdir.parent / "noise.npz"
  content = path.read_bytes()
  arrays = dict(np.load(path))
  try:
    np.savez(path, **{**arrays, "class_names": ["a", "b", "c"]})
    with pytest.raises(ValueError, match="the run was trained on 3"):
      inference.evaluate(loaded, role="validation")
  finally:
    path.write_bytes(content)


def test_a_run_that_has_not_begun(tmp_path, run):
  workdir, _ = run
  with pytest.raises(FileNotFoundError, match=r"no config\.json"):
    inference.load_run(tmp_path)
  config = (workdir / "config.json").read_text()
  (tmp_path / "config.json").write_text(config)
  with pytest.raises(FileNotFoundError, match="has not started to train"):
    inference.load_run(tmp_path)
  result = (workdir / "result.json").read_text()
  (tmp_path / "result.json").write_text(result)
  with pytest.raises(FileNotFoundError, match="no checkpoints in"):
    inference.load_run(tmp_path)
  assert not (tmp_path / "checkpoints").exists()


def test_a_checkpoint_being_saved_is_not_removed(run):
  workdir, _ = run
  saving = workdir / "checkpoints" / "9.orbax-checkpoint-tmp"
  saving.mkdir()
  try:
    assert inference.load_run(workdir).step == 4
    assert saving.is_dir()
  finally:
    saving.rmdir()


def test_devices_that_do_not_divide_the_batch_are_left_out(run, monkeypatch):
  workdir, loaded = run
  devices = jax.devices()[:3]
  monkeypatch.setattr(jax, "devices", lambda: devices)
  fewer = inference.load_run(workdir)
  assert fewer.mesh.size == 1
  ours = inference.evaluate(fewer, role="validation").metrics
  theirs = inference.evaluate(loaded, role="validation").metrics
  assert ours == pytest.approx(theirs, abs=1e-6)


def test_classes_of_imagenet_are_predicted_by_name(run, tmp_path, monkeypatch):
  _, loaded = run
  path, _ = _write(tmp_path / "image.png", (6, 5))
  (numbers,) = inference.predict(loaded, [path], top=2)
  monkeypatch.setattr(
    prediction.class_names,
    "readable",
    lambda names: [f"class {n}" for n in names],
  )
  (named,) = inference.predict(loaded, [path], top=2)
  expected = [f"class {each['class']}" for each in numbers["top"]]
  assert [each["class"] for each in named["top"]] == expected


def _with_nan(workdir, copy, part):
  """A run whose last checkpoint has a NaN, as old versions could save it."""
  copy = shutil.copytree(workdir, copy)
  loaded = {}

  def remember(manager, step, template):
    loaded["template"] = template
    return restore(manager, step, template)

  restore = checkpoint.restore_step
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(checkpoint, "restore_step", remember)
    inference.load_run(copy)
  with checkpoints.open_saved(copy) as manager:
    state, record = restore(manager, 4, loaded["template"])
  leaves, structure = jax.tree.flatten(getattr(state, part))
  place = max(i for i, x in enumerate(leaves) if x.dtype == np.float32)
  leaves[place] = leaves[place].at[(0,) * leaves[place].ndim].set(np.inf)
  state = state.replace(**{part: jax.tree.unflatten(structure, leaves)})
  shutil.rmtree(copy / "checkpoints" / "4")
  with checkpoints.open_manager(copy) as manager:
    checkpoints.save(manager, 4, state, record)
  return copy


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("part", ["params", "opt_state"])
def test_a_state_that_is_not_finite_is_refused_by_all(
  run, tmp_path, part, capsys
):
  workdir, _ = run
  copy = _with_nan(workdir, tmp_path / "copy", part)
  path, _ = _write(tmp_path / "image.png", (6, 5, 3))
  commands = (
    ["evaluate", "--workdir", str(copy), "--split", "validation"],
    ["predict", "--workdir", str(copy), str(path)],
    ["probe", "--workdir", str(copy), "--data", str(path.parent)],
    ["export", str(tmp_path / "a.jax"), "--workdir", str(copy)],
    ["weights", "convert", str(copy), str(tmp_path / "a.npz")],
  )
  for words in commands:
    assert cli.main([*words]) == cli.DIVERGED, words
    error = capsys.readouterr().err
    assert f"checkpoints/4 has NaN or infinity in {part}/" in error
  # The previous checkpoint is intact and can be chosen.
  assert inference.load_run(copy, which="2").step == 2


def test_a_model_that_overflows_has_no_results(run, tmp_path):
  _, loaded = run
  path, _ = _write(tmp_path / "image.png", (6, 5, 3))
  large = jax.tree.map(lambda leaf: leaf * 1e30, loaded.variables)
  loaded = dataclasses.replace(loaded, variables=large)
  with pytest.raises(trees.NotFinite, match=r"\.png: the model over"):
    inference.predict(loaded, [path])
  with pytest.raises(
    trees.NotFinite, match=r"step 4, evaluated on train.*loss"
  ):
    inference.evaluate(loaded, role="validation")
