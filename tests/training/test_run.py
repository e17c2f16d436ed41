"""Whole runs inside this process, on eight virtual devices and tiny data."""

import json
import logging
import os
import pathlib
import shutil
import socket

import jax
import numpy as np
import pytest
import spawned
from PIL import Image

import jaxvision
from jaxvision import cli, losses, optimizers, parallel, training
from jaxvision.parallel import mesh
from jaxvision.training.loop import results, train_loop

_DIGITS = {
  "train.batch_size": 64,
  "train.duration": "2 epochs",
  "evaluate.every": "1 epochs",
  "log.every": "4 steps",
  "log.tensorboard": False,
}
_BLOBS = {
  "data.kind": "npz",
  "data.validation": "train[75%:]",
  "data.train": "train[:75%]",
  "data.test": "",
  "data.placement": "host",
  "data.device_transforms": (),
  "model.options": {"hidden": (8,)},
  "train.batch_size": 16,
  "train.duration": "6 steps",
  "train.steps_per_dispatch": 1,
  "evaluate.every": "6 steps",
  "checkpoint.every": "6 steps",
  "log.every": "1 steps",
  "log.tensorboard": False,
}


def _blobs(seed=0):
  """64 images (4, 4, 1) of 4 classes; each class has a different bright row."""
  rng = np.random.default_rng(seed)
  labels = np.arange(64) // 16
  images = rng.integers(0, 100, (64, 4, 4, 1))
  images[np.arange(64), labels] += 155
  return images.astype(np.uint8), labels


@pytest.fixture
def blobs(tmp_path):
  """The path of an .npz of them."""
  images, labels = _blobs()
  path = tmp_path / "blobs.npz"
  np.savez(path, images=images, labels=labels, class_names=list("abcd"))
  return path


@pytest.fixture
def folder(tmp_path):
  """The path of a folder of them as PNG files."""
  path = tmp_path / "blobs"
  for number, (image, label) in enumerate(zip(*_blobs(), strict=True)):
    file = path / "abcd"[label] / f"{number:02d}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[..., 0]).save(file)
  return path


@pytest.fixture
def without_report(monkeypatch):
  """Replaces the report, whose pictures take longer than the training."""
  monkeypatch.setattr(results.report, "write_report", lambda _: None)


def _train(workdir, name, *, model="mlp", overfit=0, **overrides):
  """Trains on blobs; overrides have __ for the dot."""
  dotted = {key.replace("__", "."): value for key, value in overrides.items()}
  return training.train(
    spawned.recipe(f"digits.py:{model}"),
    workdir=workdir,
    overrides={**_BLOBS, "data.name": str(name), **dotted},
    overfit=overfit,
  )


def _lines(workdir):
  text = (workdir / "metrics.jsonl").read_text()
  return list(map(json.loads, text.splitlines()))


def _losses(workdir):
  lines = spawned.measured(workdir)
  return [line["train/loss"] for line in lines if "train/loss" in line]


def test_data_that_never_open_are_interrupted(tmp_path):
  """As on a disk that does not answer; there is nothing to save."""
  (tmp_path / "slow.py").write_text(
    "import os, signal, threading\n"
    "def load(name):\n"
    "  os.kill(os.getpid(), signal.SIGTERM)\n"
    "  threading.Event().wait(600)\n"
  )
  with pytest.raises(train_loop.Preempted, match=r"data were opened.*SIGTERM"):
    _train(tmp_path / "run", "", data__kind=f"{tmp_path}/slow.py:load")
  assert not list(tmp_path.glob("run/*.json"))


def test_digits_through_the_public_interface(tmp_path, caplog):
  caplog.set_level(logging.INFO, "jaxvision")
  data_dir = {"data.data_dir": spawned.prepared_digits()}
  result = jaxvision.train(
    spawned.recipe("digits.py:linear"),
    workdir=tmp_path,
    overrides={
      **_DIGITS,
      **data_dir,
      "train.duration": "4 epochs",
      "optimizer.learning_rate": 0.01,
    },
  )
  first, *_, last = _losses(tmp_path)
  assert last < 0.7 * first
  assert result["final"]["metrics"]["top1"] > 0.75
  assert result["parameters"] == 8 * 8 * 10 + 10
  assert result["flops_per_image"] == pytest.approx(2 * 640, rel=0.02)
  assert json.loads((tmp_path / "result.json").read_text()) == result
  header = caplog.text
  assert "linear: 650 parameters, 0.00128 MFLOPs per image" in header
  assert "on 8 x cpu" in header
  assert "MiB of each" in header
  assert "1,257 train + 180 validation + 360 test images 8x8x1" in header
  page = (tmp_path / "report.html").read_text()
  assert f"{result['final']['metrics']['top1']:.2%}".rstrip("%") in page


@pytest.mark.slow
def test_eight_devices_are_one(tmp_path, blobs, without_report, monkeypatch):
  eight = _train(tmp_path / "eight", blobs, train__duration="40 steps")
  one = mesh.make_mesh(jax.devices()[:1])
  monkeypatch.setattr(parallel, "make_mesh", lambda *_, **sizes: one)
  single = _train(tmp_path / "one", blobs, train__duration="40 steps")
  np.testing.assert_allclose(
    _losses(tmp_path / "eight"), _losses(tmp_path / "one"), rtol=1e-5
  )
  assert eight["final"]["metrics"] == pytest.approx(
    single["final"]["metrics"], abs=1e-5
  )


@pytest.mark.slow
def test_folder_is_trained_like_the_same_arrays(
  tmp_path, folder, blobs, without_report
):
  ours = _train(tmp_path / "folder", folder, data__kind="folder")
  theirs = _train(tmp_path / "npz", blobs)
  assert ours["class_names"] == theirs["class_names"] == list("abcd")
  assert ours["fingerprint"] == theirs["fingerprint"]
  mistakes = np.load(tmp_path / "folder" / "evaluation.npz")["mistake_ids"]
  assert all(pathlib.Path(each).is_file() for each in mistakes.tolist())


def test_patience_ends_a_run_and_without_it_the_run_goes_on(
  tmp_path, blobs, without_report, caplog
):
  """It goes on as a run that never had patience. Nothing is learnt here."""
  caplog.set_level(logging.INFO, "jaxvision")
  each = {"evaluate__every": "1 steps", "optimizer__learning_rate": 0.0}
  early = _train(tmp_path / "run", blobs, train__patience=2, **each)
  assert (early["step"], early["total_steps"]) == (3, 6)
  assert early["checkpoint"] == "checkpoints/3"
  assert early["status"].startswith("finished: validation_ema/top1 has not im")
  lines = _lines(tmp_path / "run")
  assert _train(tmp_path / "run", blobs, train__patience=2, **each) == early
  assert "finished already" in caplog.text
  assert _lines(tmp_path / "run") == lines
  longer = _train(tmp_path / "run", blobs, train__patience=0, **each)
  whole = _train(tmp_path / "whole", blobs, **each)
  assert longer["step"] == 6 and longer["status"] == "finished"
  assert longer["fingerprint"] == whole["fingerprint"]
  assert longer["best"] == whole["best"]


def test_threads_do_not_change_the_result(tmp_path, folder, without_report):
  prints = {
    threads: _train(
      tmp_path / str(threads),
      folder,
      data__kind="folder",
      data__threads=threads,
      data__train_transforms=("random_flip", "random_resized_crop(4)"),
    )["fingerprint"]
    for threads in (1, 5)
  }
  assert prints[1] == prints[5]


@pytest.mark.slow
def test_placement_does_not_change_the_result(tmp_path, blobs, without_report):
  device = {"data__placement": "device", "log__every": "3 steps"}
  host = _train(tmp_path / "host", blobs, log__every="3 steps")
  for steps in (1, 3):
    result = _train(
      tmp_path / str(steps), blobs, **device, train__steps_per_dispatch=steps
    )
    np.testing.assert_allclose(
      _losses(tmp_path / str(steps)), _losses(tmp_path / "host"), rtol=1e-5
    )
    assert result["final"]["metrics"] == pytest.approx(
      host["final"]["metrics"], abs=1e-5
    )


@pytest.mark.matrix("softmax", "hinge")
@pytest.mark.parametrize("name", losses.LOSSES_OF_LABELS["classes"])
def test_every_loss_of_classes_trains(name, tmp_path, blobs, without_report):
  result = _train(
    tmp_path / "run",
    blobs,
    loss__name=name,
    loss__options={},
    optimizer__learning_rate=0.01,
  )
  measured = _losses(tmp_path / "run")
  assert measured[-1] < measured[0]
  assert result["step"] == 6


@pytest.mark.matrix("sgd", "adamw")
@pytest.mark.parametrize(
  "name", [*optimizers.COUPLED_DECAY, *optimizers.OWN_DECAY]
)
def test_every_optimizer_trains(name, tmp_path, blobs, without_report):
  # The first update of lars depends on tiny norms, so it needs a larger rate.
  rate = {"lars": 1.0, "sgd": 0.1}.get(name, 0.01)
  _train(
    tmp_path / "run",
    blobs,
    optimizer__name=name,
    optimizer__learning_rate=rate,
    schedule__warmup="0 steps",
  )
  measured = _losses(tmp_path / "run")
  assert measured[-1] < measured[0]


def test_sam_and_clipping_and_frozen_layers_train(
  tmp_path, blobs, without_report
):
  _train(
    tmp_path / "run",
    blobs,
    optimizer__sam_radius=0.05,
    optimizer__gradient_clip=1.0,
    optimizer__learning_rate=0.01,
    optimizer__learning_rate_rules=(("hidden_0/.*", None), (".*", 1.0)),
  )
  measured = _losses(tmp_path / "run")
  assert measured[-1] < measured[0]


def test_a_few_examples_are_memorised(tmp_path, blobs, without_report, caplog):
  caplog.set_level(logging.INFO, "jaxvision")
  result = _train(
    tmp_path / "run", blobs, overfit=16, optimizer__learning_rate=0.01
  )
  assert result["final"]["metrics"]["top1"] == 1
  assert result["final"]["metrics"]["loss"] < 0.05
  assert "the model, the loss and the step can learn" in caplog.text


@pytest.mark.slow
def test_a_rate_of_zero_memorises_nothing(
  tmp_path, blobs, without_report, caplog
):
  result = _train(
    tmp_path / "run", blobs, overfit=16, optimizer__learning_rate=1e-9
  )
  assert result["final"]["metrics"]["top1"] < 1
  assert "it did not memorise them" in caplog.text


def test_divergence_stops_names_the_checkpoint_and_reports(
  tmp_path, blobs, capsys
):
  workdir = tmp_path / "run"
  overrides = {
    **_BLOBS,
    "data.name": str(blobs),
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1e12,
    "schedule.warmup": "3 steps",
    "checkpoint.every": "1 steps",
  }
  del overrides["model.options"]
  words = [f"--config.{key}={value}" for key, value in overrides.items()]
  recipe = spawned.recipe("digits.py:mlp")
  code = cli.main(
    ["train", "--config", recipe, "--workdir", str(workdir), *words]
  )
  assert code == cli.DIVERGED
  result = spawned.result(workdir)
  kept = max(int(each.name) for each in (workdir / "checkpoints").iterdir())
  assert 1 <= kept < result["step"] <= 6
  error = capsys.readouterr().err
  assert error.startswith(f"jaxvision: stopped at step {result['step']}: the ")
  assert f"is kept: {workdir}/checkpoints/{kept}" in error
  assert "lower optimizer.learning_rate" in error
  assert result["status"] in error
  assert f"step {result['step']}" in (workdir / "report.html").read_text()


def test_divergence_leaves_through_the_library_too(
  tmp_path, blobs, without_report
):
  with pytest.raises(train_loop.Diverged, match="none yet"):
    _train(
      tmp_path / "run",
      blobs,
      optimizer__name="sgd",
      optimizer__learning_rate=1e30,
      schedule__warmup="0 steps",
    )


def _dark(tmp_path):
  """Blobs with a pixel that is always 0, so its weights get no gradient."""
  images, labels = _blobs()
  images[:, 3, 3] = 0
  path = tmp_path / "dark.npz"
  np.savez(path, images=images, labels=labels, class_names=list("abcd"))
  return path


# Each makes a state or an evaluation non-finite, although losses are finite.
_HIDDEN = {
  # Adam divides 0 by 0.
  "by the last step": {"train.duration": "1 steps"},
  "of an average": {"train.duration": "1 steps", "ema.decay": 0.9},
  "under clipping": {"train.duration": "1 steps", "optimizer.gradient_clip": 1},
  "in evaluation": {
    "train.duration": "1 steps",
    "optimizer.name": "sgd",
    "optimizer.options": {},
    "optimizer.learning_rate": 3e37,
  },
}


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("case", _HIDDEN)
def test_nan_that_no_loss_shows_is_a_divergence(
  case, tmp_path, without_report, capsys
):
  options = {
    **_BLOBS,
    "data.name": str(_dark(tmp_path)),
    "data.mean": (0.0,),
    "optimizer.name": "adam",
    "optimizer.options": {"eps": 0.0},
    "schedule.warmup": "0 steps",
    **_HIDDEN[case],
  }
  workdir = tmp_path / "run"
  with pytest.raises(train_loop.Diverged, match="step 1"):
    training.train(
      spawned.recipe("digits.py:mlp"), workdir=workdir, overrides=options
    )
  result = spawned.result(workdir)
  assert result["status"].startswith("stopped at step 1")
  assert "none yet" in result["status"]
  assert not list((workdir / "checkpoints").iterdir())
  assert cli.main(["evaluate", "--workdir", str(workdir)]) != 0


def test_number_of_classes_must_agree(tmp_path, blobs):
  with pytest.raises(ValueError, match=r"num_classes is 5, but .* 4 classes"):
    _train(tmp_path / "run", blobs, data__num_classes=5)
  assert not (tmp_path / "run").exists()


def test_unreadable_images_are_ignored_below_the_limit(
  tmp_path, folder, without_report, caplog
):
  broken = sorted(folder.rglob("*.png"))[5]
  broken.write_bytes(b"no image")
  arguments = {"data__kind": "folder", "data__validation": ""}
  arguments |= {"data__train": "train", "train__batch_size": 64}
  result = _train(
    tmp_path / "run", folder, data__max_unreadable=0.1, **arguments
  )
  assert result["status"] == "finished"
  assert f"unreadable image {broken}" in caplog.text
  with pytest.raises(ValueError, match=r"1 of 64 images .* are unreadable"):
    _train(tmp_path / "strict", folder, data__max_unreadable=0, **arguments)


def test_names_that_are_not_unicode_do_not_stop_a_training(tmp_path, folder):
  for path in sorted(folder.glob("*/*.png")):
    path.rename(path.with_name(os.fsdecode(b"\xff\x1b\n" + path.name.encode())))
  (folder / "a").rename(folder / "a\n=1\x1b[2J")
  run = tmp_path / os.fsdecode(b"run\xfe")
  result = _train(run, folder, data__kind="folder")
  assert result["status"] == "finished"
  assert result["class_names"][0] == "a\n=1\x1b[2J"
  assert json.loads((run / "result.json").read_text("utf-8")) == result
  page = (run / "report.html").read_text("utf-8")
  assert page.rstrip().endswith("</html>")
  ids = np.load(run / "evaluation.npz")["mistake_ids"].tolist()
  assert ids and all(pathlib.Path(each).is_file() for each in ids)


@pytest.fixture
def once(tmp_path, blobs, without_report):
  """A finished run, its result, and how to start it again."""
  run = tmp_path / "run"
  return run, _train(run, blobs), lambda: _train(run, blobs)


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  ("name", "content"),
  [
    ("result.json", b""),
    ("result.json", b'{"status": "finished", "step": "6"}'),
    ("result.json", b'{"status": "finished"}'),
    ("evaluation.npz", b"PK"),
    ("predictions.npz", b"PK"),
    ("environment.json", b"[null]"),
  ],
)
def test_a_finished_run_is_repaired(once, caplog, name, content):
  run, before, start = once
  lines = _lines(run)
  (run / name).write_bytes(content)
  after = start()
  assert after["status"] == "finished"
  for key in ("final", "fingerprint", "best", "class_names", "step"):
    assert after[key] == before[key]
  assert json.loads((run / "result.json").read_text()) == after
  assert np.load(run / "evaluation.npz")["confusion"].sum() == 16
  assert _lines(run) == lines
  # A finished run does not need the record of its starts.
  assert (name in caplog.text) == (name != "environment.json")


@pytest.mark.slow
def test_a_report_that_is_not_whole_is_written_again(tmp_path, blobs):
  run = tmp_path / "run"
  _train(run, blobs)
  whole = (run / "report.html").read_text()
  for content in (b"", whole[:1000].encode(), None):
    (run / "report.html").unlink()
    if content is not None:
      (run / "report.html").write_bytes(content)
    _train(run, blobs)
    assert (run / "report.html").read_text() == whole


def test_a_run_without_the_record_of_its_starts_resumes(once, caplog):
  run, before, start = once
  (run / "environment.json").write_text("")
  (run / "result.json").unlink()
  after = start()
  assert after["goodput"] is None
  assert after["fingerprint"] == before["fingerprint"]
  assert f"{run}/environment.json is damaged" in caplog.text


def test_results_without_a_checkpoint_are_lost(once, caplog):
  run, before, start = once
  shutil.rmtree(run / "checkpoints")
  (run / "evaluation.npz").write_bytes(b"")
  assert start() == before
  assert f"evaluation.npz of {run}: damaged; lost" in caplog.text


def test_training_needs_no_network(
  tmp_path, blobs, without_report, monkeypatch
):
  def refuse(*_, **__):
    raise AssertionError("a connection was tried")

  monkeypatch.setattr(socket.socket, "connect", refuse)
  monkeypatch.setattr(socket, "getaddrinfo", refuse)
  data_dir = {"data.data_dir": spawned.prepared_digits()}
  training.train(
    spawned.recipe("digits.py:linear"),
    workdir=tmp_path / "run",
    overrides={**_DIGITS, **data_dir, "train.duration": "8 steps"},
  )


@pytest.mark.slow
def test_a_bad_first_loss_gives_a_warning(
  tmp_path, blobs, without_report, caplog
):
  short = {"train__duration": "1 steps", "schedule__warmup": "0 steps"}
  _train(tmp_path / "well", blobs, model="linear", model__options={}, **short)
  assert "the first loss is" not in caplog.text
  _train(tmp_path / "badly", blobs, data__std=(1e-4,), **short)
  assert "the first loss is" in caplog.text


def test_every_line_has_its_speeds(tmp_path, blobs, without_report):
  result = _train(tmp_path, blobs, log__peak_flops=1e6)
  lines = [line for line in _lines(tmp_path) if "train/loss" in line]
  peak = 8 * 1e6 / (3 * result["flops_per_image"])
  for line in lines:
    assert line["mfu"] == pytest.approx(line["images_per_second"] / peak)
    assert 0 <= line["data_wait"] <= 1
    assert 0 < line["goodput"] < 1
    assert line["saving_seconds"] == 0
  for line in lines[1:-1]:  # the last two are written together
    assert 0 < line["step_seconds_p50"] <= line["step_seconds_p95"]
  spent = result["seconds_spent"]
  assert set(spent) == {"starting", "steps", "evaluating", "saving", "other"}
  assert min(spent["starting"], spent["steps"], spent["saving"]) > 0
  # Of all the time since the start, compilation included.
  useful = result["goodput"] * sum(spent.values())
  assert useful == pytest.approx(spent["steps"], rel=0.05)


def test_a_cpu_has_no_mfu(tmp_path, blobs, without_report):
  _train(tmp_path, blobs)
  assert not any("mfu" in line for line in _lines(tmp_path))


@pytest.mark.slow
def test_profile_on_the_command_line(
  tmp_path, blobs, without_report, monkeypatch, capsys
):
  traced = []
  monkeypatch.setattr(jax.profiler, "start_trace", traced.append)
  monkeypatch.setattr(jax.profiler, "stop_trace", lambda: traced.append("off"))
  overrides = {**_BLOBS, "data.name": str(blobs)}
  del overrides["model.options"]
  words = [f"--config.{key}={value}" for key, value in overrides.items()]
  recipe = spawned.recipe("digits.py:mlp")
  arguments = ["train", "--config", recipe, "--workdir", str(tmp_path / "run")]
  assert cli.main([*arguments, "--profile", "steps=5:2", *words]) == 2
  assert "steps=10:15" in capsys.readouterr().err
  assert not traced
  assert cli.main([*arguments, "--profile", "steps=2:4", *words]) == 0
  assert traced == [tmp_path / "run" / "profile", "off"]
