"""checkpoint.restore_best: the results of a run are those of its best step."""

import json
import logging
import shutil

import jax
import numpy as np
import pytest
import spawned
import tiny_runs

from jaxvision import checkpoint, cli, inference, training, weights
from jaxvision.checkpoint import fingerprint
from jaxvision.training import fit
from jaxvision.training.loop import evaluation, results, train_loop

_TIMES = ("seconds", "goodput", "seconds_spent")


@pytest.fixture(autouse=True, scope="module")
def without_report():
  """Replaces the report, whose pictures take longer than the training."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(results.report, "write_report", lambda _: None)
    yield


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
  """Arrays whose labels are noise: what is learnt makes validation worse."""
  rng = np.random.default_rng(3)
  arrays = {}
  for split in ("train", "validation", "test"):
    images = rng.integers(0, 256, (48, 4, 4, 1))
    arrays[f"{split}_images"] = images.astype(np.uint8)
    arrays[f"{split}_labels"] = rng.integers(0, 4, 48)
  path = tmp_path_factory.mktemp("noise") / "noise.npz"
  np.savez(path, **arrays, class_names=list("abcd"))
  return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory, noise):
  """The folder of a run that ends with its last step."""
  workdir = tmp_path_factory.mktemp("plain") / "run"
  _train(workdir, noise, restore=False)
  return workdir


@pytest.fixture(scope="module")
def whole(tmp_path_factory, noise):
  """The folder of a run that ends with its best step."""
  workdir = tmp_path_factory.mktemp("whole") / "run"
  _train(workdir, noise)
  return workdir


@pytest.fixture
def ended(tmp_path, plain):
  """The folder of a run that was killed between its last step and its end."""
  workdir = shutil.copytree(plain, tmp_path / "ended")
  (workdir / "result.json").unlink()
  return workdir


def _overrides(noise, **more):
  return {
    "data.kind": "npz",
    "data.name": str(noise),
    "data.validation": "validation",
    "data.train": "train",
    "data.test": "test",
    "data.placement": "host",
    "data.device_transforms": (),
    "data.mean": (0.5,),
    "data.std": (1.0,),
    "loss.options": {},
    "model.options": {"hidden": (8,)},
    "schedule.name": "constant",
    "optimizer.learning_rate": 0.03,
    "train.batch_size": 16,
    "train.duration": "12 steps",
    "train.steps_per_dispatch": 1,
    "ema.decay": 0.0,
    "evaluate.every": "2 steps",
    "checkpoint.every": "6 steps",
    "checkpoint.best": "validation/loss",
    "log.every": "2 steps",
    "log.tensorboard": False,
    **{key.replace("__", "."): value for key, value in more.items()},
  }


class _Killed(BaseException):
  """As by SIGKILL: nothing after it is written."""


def _train(workdir, noise, *, restore=True, watch=lambda *_: "", **more):
  return training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=workdir,
    overrides=_overrides(noise, checkpoint__restore_best=restore, **more),
    watch=watch,
  )


def _without_times(result):
  return {key: each for key, each in result.items() if key not in _TIMES}


def _by_hand(run, noise):
  """Top-1, the mean loss and the confusion matrix of the test split."""
  arrays = np.load(noise)
  images, labels = arrays["test_images"], arrays["test_labels"]
  mean, std = run.config.data.mean[0], run.config.data.std[0]
  pixels = ((images / 255 - mean) / std).astype(np.float32)
  logits = np.asarray(run.model.apply(run.variables, pixels, train=False))
  logits = logits.astype(np.float64)
  shifted = logits - logits.max(-1, keepdims=True)
  log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
  confusion = np.zeros((4, 4), int)
  np.add.at(confusion, (labels, logits.argmax(-1)), 1)
  rows = np.arange(len(labels))
  return confusion.trace() / 48, -log_p[rows, labels].mean(), confusion


def _check_is_best(workdir, plain, noise):
  """The training is that of `plain`; the results are those of its best step."""
  found, last = spawned.result(workdir), spawned.result(plain)
  best = min(
    (line["validation/loss"], line["step"])
    for line in spawned.measured(workdir)
    if "validation/loss" in line
  )[1]
  assert found["best"] == last["best"] and found["best"]["step"] == best
  assert best < found["step"] == last["step"]
  assert last["checkpoint"] == f"checkpoints/{last['step']}"
  assert found["checkpoint"] == f"checkpoints/{best}"
  assert spawned.measured(workdir) == spawned.measured(plain)
  run = inference.load_run(plain, which=str(best))
  top1, loss, confusion = _by_hand(run, noise)
  assert found["final"]["metrics"]["top1"] == pytest.approx(top1)
  assert found["final"]["metrics"]["loss"] == pytest.approx(loss, rel=1e-5)
  assert found["final"] != last["final"]
  arrays = np.load(workdir / "evaluation.npz")
  np.testing.assert_array_equal(arrays["confusion"], confusion)


def test_the_results_are_those_of_the_best_step(whole, plain, noise):
  _check_is_best(whole, plain, noise)


@pytest.mark.slow
def test_the_same_with_early_stopping_also_if_the_run_is_killed(
  tmp_path, noise
):
  """The kill is after the best step; its checkpoint and record are kept."""
  early = {"train__patience": 2}
  last = _train(tmp_path / "plain", noise, restore=False, **early)
  found = _train(tmp_path / "run", noise, **early)
  assert found["step"] < 12
  assert found["status"].startswith("finished: validation/loss has not")
  _check_is_best(tmp_path / "run", tmp_path / "plain", noise)

  def kill(step, total, values):
    if step == last["best"]["step"] + 2:
      raise _Killed
    return ""

  with pytest.raises(_Killed):
    _train(tmp_path / "killed", noise, watch=kill, **early)
  assert not (tmp_path / "killed" / "evaluation.npz").exists()
  again = _train(tmp_path / "killed", noise, **early)
  assert _without_times(again) == _without_times(found)


def test_commands_open_the_best_step_unless_another_one_is_named(
  tmp_path, whole, capsys
):
  found = spawned.result(whole)
  best = found["best"]["step"]
  steps = {
    which: inference.load_run(whole, which=which).step
    for which in (None, "best", "last", "12")
  }
  assert steps == {None: best, "best": best, "last": 12, "12": 12}
  for words, step in (([], best), (["--checkpoint", "last"], 12)):
    command = ["evaluate", "--workdir", str(whole), *words, "--json"]
    assert cli.main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["step"] == step
    same = printed["loss"] == found["final"]["metrics"]["loss"]
    assert same == (step == best)
  target = str(tmp_path / "model.jax")
  assert cli.main(["export", target, "--workdir", str(whole)]) == 0
  assert f"step {best}" in capsys.readouterr().out


def test_weights_of_the_run_are_those_of_the_best_step(whole):
  _, loaded = weights.load(whole, "mlp")
  run = inference.load_run(whole, which="best")
  for a, b in zip(*map(jax.tree.leaves, (loaded, run.variables)), strict=True):
    np.testing.assert_array_equal(a, b)


def test_a_run_that_is_killed_at_its_end_has_the_same_results(
  tmp_path, whole, noise, monkeypatch
):
  """Before the best state is restored, and after its evaluation."""

  def kill(*_, **__):
    raise _Killed

  workdir = tmp_path / "run"
  for where, name in ((fit, "_restore_best"), (results, "write_finished")):
    with monkeypatch.context() as patch, pytest.raises(_Killed):
      patch.setattr(where, name, kill)
      _train(workdir, noise)
    unfinished = spawned.result(workdir)
    assert unfinished["status"] == "running" and "final" not in unfinished
    # Until the results are there, commands open the last step.
    assert inference.load_run(workdir).step == 12
  again = _train(workdir, noise)
  assert _without_times(again) == _without_times(spawned.result(whole))
  assert _train(workdir, noise) == again


def test_an_extended_run_continues_from_the_last_step(tmp_path, whole, noise):
  short = _train(tmp_path / "run", noise, train__duration="6 steps")
  assert short["checkpoint"] != "checkpoints/6"
  longer = training.train(workdir=tmp_path / "run", extend="12 steps")
  expected = spawned.result(whole)
  for key in ("step", "best", "checkpoint", "fingerprint", "final"):
    assert longer[key] == expected[key]
  prints = [
    fingerprint.of(inference.load_run(each, which="last").variables)
    for each in (tmp_path / "run", whole)
  ]
  assert prints[0] == prints[1]


def test_a_finished_run_is_evaluated_again_if_the_key_changes(
  tmp_path, plain, whole, noise
):
  workdir = shutil.copytree(plain, tmp_path / "run")
  last, lines = spawned.result(workdir), spawned.measured(workdir)
  best = _train(workdir, noise)
  assert _without_times(best) == _without_times(spawned.result(whole))
  assert inference.load_run(workdir).step == last["best"]["step"]
  again = _train(workdir, noise, restore=False)
  assert _without_times(again) == _without_times(last)
  assert spawned.measured(workdir) == lines
  # Nothing is trained again if a checkpoint is not there.
  shutil.rmtree(workdir / best["checkpoint"])
  with pytest.raises(ValueError, match=r"restore_best is True.* is not there"):
    _train(workdir, noise)
  assert spawned.result(workdir) == again


def test_a_missing_best_checkpoint_is_an_error(ended, noise):
  """As in the folder of a trial of a group, which does not save it."""
  shutil.rmtree(ended / "checkpoints" / "2")
  with pytest.raises(checkpoint.CheckpointError, match=r"2, is miss.*=False"):
    _train(ended, noise)
  assert _train(ended, noise, restore=False)["checkpoint"] == "checkpoints/12"


def test_a_damaged_best_checkpoint_is_an_error(ended, noise):
  arrays = ended / "checkpoints" / "2" / "state"
  largest = max(
    (path for path in arrays.rglob("*") if path.is_file()),
    key=lambda path: path.stat().st_size,
  )
  largest.write_bytes(bytes(largest.stat().st_size))
  with pytest.raises(
    checkpoint.CheckpointError, match=r"2 is damaged.*To finish with the last"
  ):
    _train(ended, noise)


def test_an_overflow_of_the_best_state_sets_no_checkpoint_aside(
  ended, noise, monkeypatch
):
  check = results.divergence.check_finite

  def overflow(name, metrics, step, *, last):
    check(name, {**metrics, "loss": np.inf}, step, last=last)

  monkeypatch.setattr(results.divergence, "check_finite", overflow)
  with pytest.raises(train_loop.Diverged, match=r"step 2, the best: test/loss"):
    _train(ended, noise)
  assert inference.load_run(ended, which="last").step == 12
  assert not (ended / "damaged").exists()


def test_a_run_without_a_best_step_ends_with_the_last(
  tmp_path, noise, monkeypatch, caplog
):
  """No value of the metric that selects the best checkpoint is finite."""
  flat = evaluation._flat
  monkeypatch.setattr(
    evaluation, "_flat", lambda found: dict.fromkeys(flat(found), np.nan)
  )
  with caplog.at_level(logging.WARNING, "jaxvision"):
    found = _train(tmp_path / "run", noise)
  assert found["best"] is None and found["checkpoint"] == "checkpoints/12"
  assert "no evaluation has a finite validation/loss" in caplog.text


@pytest.mark.parametrize("missing", ["data__validation", "checkpoint__best"])
def test_restoring_the_best_needs_evaluations(tmp_path, missing):
  tiny_runs.write_data(tmp_path)
  with pytest.raises(ValueError, match=r"restore_best is True.* set both"):
    tiny_runs.prepare(tmp_path, checkpoint__restore_best=True, **{missing: ""})
