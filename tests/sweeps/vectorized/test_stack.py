"""Runs that share a program give the same results as alone."""

import json
import logging
import signal

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import checkpoint, inference, sweeps, training
from jaxvision import config as configs
from jaxvision.runs import metrics_log
from jaxvision.sweeps import vectorized
from jaxvision.sweeps.vectorized import programs, stack
from jaxvision.training import setup
from jaxvision.training.loop import train_loop

_BASE = {
  "train.duration": "12 steps",
  "data.placement": "device",
  "evaluate.every": "4 steps",
  "log.every": "4 steps",
  "log.tensorboard": False,
  "ema.decay": 0.9,
  "checkpoint.best": "validation_ema/top1",
}
_MIXED = ("random_crop(padding=1)", "random_mixup({})")
# All numbers in which trials of one program may differ.
_NUMBERS = [
  {
    "seed": seed,
    "model.options.initializer": f"normal({decay})",
    "optimizer.name": "adamw",
    "optimizer.learning_rate": rate,
    "optimizer.weight_decay": decay,
    "optimizer.options.b1": 0.9 - seed / 10,
    "optimizer.gradient_clip": 1.0 + seed,
    "loss.options.label_smoothing": decay,
    "loss.l2": decay / 10,
    "data.device_transforms": (_MIXED[0], _MIXED[1].format(0.2 + seed)),
    "data.mean": (0.5 - decay,),
  }
  for seed, rate, decay in ((0, 0.01, 0.1), (3, 0.003, 0.02), (7, 0.03, 0.3))
]
_TELLS = lambda told: {}  # noqa: E731


@pytest.fixture
def recipe(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  return str(tmp_path / "recipe.py")


def _overrides(settings, **more):
  return [{**_BASE, **more, **each} for each in settings]


def _together(recipe, folder, overrides, watch=_TELLS):
  workdirs = [folder / str(i) for i in range(len(overrides))]
  outcomes = vectorized.run_together(
    recipe, workdirs=workdirs, overrides=overrides, watch=watch
  )
  return workdirs, outcomes


def _alone(recipe, workdir, overrides):
  training.train(recipe, workdir=workdir, overrides=overrides)
  return workdir


def _params(workdir):
  run = inference.load_run(workdir)
  return jax.tree.leaves(jax.device_get(run.variables))


def _assert_same(one, other):
  """Both runs have equal parameters and metrics, up to rounding."""
  for a, b in zip(_params(one), _params(other), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
  rows = [
    {
      (row["step"], name): value
      for row in metrics_log.read_metrics(workdir)
      for name, value in row.items()
      if name.startswith(("train/", "validation", "learning", "gradient"))
    }
    for workdir in (one, other)
  ]
  assert rows[0].keys() == rows[1].keys() and len(rows[0]) > 20
  for key, value in rows[0].items():
    assert rows[1][key] == pytest.approx(value, rel=2e-4, abs=2e-5), key


def test_runs_that_differ_in_any_numbers_are_as_alone(recipe, tmp_path):
  overrides = _overrides(_NUMBERS)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 3
  for i, workdir in enumerate(workdirs):
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    _assert_same(workdir, alone)
    found, expected = (
      json.loads((w / "result.json").read_text()) for w in (workdir, alone)
    )
    assert found["final"]["split"] == "validation_ema"
    assert found["final"]["metrics"] == pytest.approx(
      expected["final"]["metrics"], rel=1e-4
    )
    assert found["best"] == pytest.approx(expected["best"])
    assert found["parameters"] == expected["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize(
  "more",
  [
    {"train.accumulate": 2},
    {"precision.compute": "float16"},
    {
      "train.image_sizes": (("0 %", 2), ("50 %", 4)),
      "model.name": "resnet18",
      "model.options": {"blocks": (1,), "features": 4, "stem": "small"},
    },
  ],
  ids=lambda more: min(more),
)
def test_numbers_in_loops_and_branches_differ_too(recipe, tmp_path, more):
  """Smoothing and penalty are inside a loop over parts, or in a branch."""
  names = ("loss.options.label_smoothing", "loss.l2", "optimizer.learning_rate")
  settings = [
    {name: each[name] for name in names} | {"seed": each["seed"]}
    for each in _NUMBERS[:2]
  ]
  overrides = _overrides(settings, **more)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 2
  for i, workdir in enumerate(workdirs):
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    rows = [
      [r for r in metrics_log.read_metrics(w) if "train/loss" in r]
      for w in (workdir, alone)
    ]
    for one, other in zip(*rows, strict=True):
      assert one["train/loss"] == pytest.approx(other["train/loss"], rel=0.01)
      assert one["gradient_norm"] == pytest.approx(
        other["gradient_norm"], rel=0.01
      )


def test_runs_of_different_data_are_not_mixed(recipe, tmp_path):
  """Each group has its own splits, as its runs have alone."""
  splits = ("train[:16]", "train[:32]")
  settings = [
    {"data.train": split, "seed": seed} for split in splits for seed in (0, 1)
  ]
  overrides = _overrides(settings)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 4
  for i in (0, 2):
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    _assert_same(workdirs[i], alone)
    found, expected = (
      json.loads((w / "data.json").read_text()) for w in (workdirs[i], alone)
    )
    assert found["splits"] == expected["splits"]
    assert found["splits"]["train"]["split"] == overrides[i]["data.train"]


@pytest.mark.slow
def test_folds_are_not_mixed(recipe, tmp_path):
  """The folds have data of equal shapes, and the seeds of a fold share them."""
  settings = [
    {"data.folds": 4, "data.fold": fold, "seed": seed}
    for fold in (2, 0)
    for seed in (0, 1)
  ]
  overrides = _overrides(settings)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 4
  for i in (0, 2):
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    _assert_same(workdirs[i], alone)
  for workdir, settings in zip(workdirs, overrides, strict=True):
    record = json.loads((workdir / "data.json").read_text())
    fold = settings["data.fold"]
    held = record["splits"]["validation"]
    assert held["split"] == f"train, fold {fold} of 4"
    assert held["num_examples"] == 10
    together = {row.get("runs_together") for row in _rows(workdir)}
    assert together - {None} == {2}


def _rows(workdir):
  return metrics_log.read_metrics(workdir)


@pytest.mark.slow
def test_patience_ends_runs_as_alone(recipe, tmp_path):
  """Without learning, no evaluation is better than the first one."""
  settings = [{"optimizer.learning_rate": rate} for rate in (0.0, 0.03, 0.0)]
  more = {"train.patience": 2, "evaluate.every": "2 steps", "ema.decay": 0.0}
  more["checkpoint.best"] = "validation/loss"
  overrides = _overrides(settings, **more)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 3
  ends = []
  for i, workdir in enumerate(workdirs):
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    _assert_same(workdir, alone)
    found, expected = (
      json.loads((w / "result.json").read_text()) for w in (workdir, alone)
    )
    assert found["final"]["metrics"] == pytest.approx(
      expected["final"]["metrics"], rel=1e-4
    )
    same = ("step", "status", "checkpoint", "waited")
    assert [found[key] for key in same] == [expected[key] for key in same]
    ends.append(found["step"])
  assert ends == [6, 12, 6]
  assert found["status"].startswith("finished: validation/loss has not")


def test_runs_that_restore_their_best_step_are_run_alone(
  recipe, tmp_path, caplog
):
  """A group does not save the best checkpoints."""
  settings = [
    {"seed": seed, "checkpoint.restore_best": True} for seed in (0, 1)
  ]
  with caplog.at_level(logging.INFO, "jaxvision"):
    workdirs, outcomes = _together(recipe, tmp_path, _overrides(settings))
  assert outcomes == [None, None]
  assert not any(workdir.exists() for workdir in workdirs)
  assert "run alone: its checkpoint.restore_best is True" in caplog.text


@pytest.mark.slow
def test_runs_start_from_weights_as_alone(recipe, tmp_path):
  """Also if another run of the group starts from random variables."""
  more = {"checkpoint.best": "", "model.options.initializer": "normal(0.1)"}
  source = {**_BASE, **more, "seed": 1, "train.duration": "4 steps"}
  _alone(recipe, tmp_path / "source", source)
  settings = [{"model.weights": str(tmp_path / "source")}, {}]
  overrides = _overrides(settings, **more)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 2
  for i, workdir in enumerate(workdirs):
    assert metrics_log.read_metrics(workdir)[0]["runs_together"] == 2
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    _assert_same(workdir, alone)
  assert not np.allclose(_params(workdirs[0])[0], _params(workdirs[1])[0])


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_students_share_their_teacher(recipe, tmp_path, stored):
  """They differ in the temperature, the weight of the labels and the rate."""
  quiet = {"log.tensorboard": False, "train.duration": "30 steps"}
  _alone(recipe, tmp_path / "teacher", quiet)
  taught = {
    "task.name": "distillation",
    "task.teachers": (str(tmp_path / "teacher"),),
    "task.teacher_logits": str(tmp_path / "logits") if stored else "",
    "task.options.loss": "hinton",
  }
  settings = [
    {
      "task.options.temperature": temperature,
      "task.options.alpha": alpha,
      "optimizer.learning_rate": alpha / 10,
      "seed": int(temperature),
    }
    for temperature, alpha in ((1.0, 0.3), (4.0, 0.8))
  ]
  overrides = _overrides(settings, **taught)
  workdirs, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [sweeps.Outcome("complete")] * 2
  for i, workdir in enumerate(workdirs):
    alone = _alone(recipe, tmp_path / f"alone-{i}", overrides[i])
    _assert_same(workdir, alone)
    records = [(w / "teachers.json").read_text() for w in (workdir, alone)]
    assert records[0] == records[1]


@pytest.mark.slow
def test_students_of_other_teachers_are_not_together(recipe, tmp_path):
  overrides = []
  for seed in (0, 1):
    name = tmp_path / f"teacher-{seed}"
    _alone(recipe, name, {"seed": seed, "log.tensorboard": False})
    taught = {"task.name": "distillation", "task.teachers": (str(name),)}
    overrides += _overrides([{}], **taught)
  _, outcomes = _together(recipe, tmp_path, overrides)
  assert outcomes == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "lion", "muon"])
def test_other_optimizers_and_schedules_too(recipe, tmp_path, name):
  settings = [
    {"optimizer.learning_rate": rate, "optimizer.weight_decay": rate}
    for rate in (0.01, 0.02)
  ]
  more = {
    "optimizer.name": name,
    "schedule.warmup": "3 steps",
    "train.duration": "5 steps",
  }
  overrides = _overrides(settings, **more)
  (first, _), outcomes = _together(recipe, tmp_path, overrides)
  assert [each.state for each in outcomes] == ["complete"] * 2
  _assert_same(first, _alone(recipe, tmp_path / "alone", overrides[0]))


@pytest.mark.slow
def test_convolutions_batch_statistics_and_several_steps_a_call(
  recipe, tmp_path
):
  settings = [{"seed": seed} for seed in (0, 1)]
  more = {
    "model.name": "resnet18",
    "model.options": {"blocks": (1,), "features": 4, "stem": "small"},
    "train.duration": "4 steps",
    "train.steps_per_dispatch": 2,
  }
  overrides = _overrides(settings, **more)
  (_, second), _ = _together(recipe, tmp_path, overrides)
  _assert_same(second, _alone(recipe, tmp_path / "alone", overrides[1]))


@pytest.mark.slow
def test_devices_share_the_runs(recipe, tmp_path):
  overrides = _overrides([{"seed": seed} for seed in range(6)])
  workdirs, _ = _together(recipe, tmp_path, overrides)
  assert programs.mesh_of(6).size == 6
  assert programs.mesh_of(7).size == 7
  assert programs.mesh_of(9).size == 3
  _assert_same(workdirs[4], _alone(recipe, tmp_path / "alone", overrides[4]))


@pytest.mark.slow
def test_a_pruned_member_leaves_and_the_others_continue(recipe, tmp_path):
  overrides = _overrides(_NUMBERS)
  seen = []

  def watch(told):
    seen.append(sorted(told))
    step = next(iter(told.values()))[0]
    return {1: "slow"} if step == 4 else {}

  workdirs, outcomes = _together(recipe, tmp_path, overrides, watch)
  assert seen == [[0, 1, 2], [0, 2], [0, 2]]
  assert outcomes[1] == sweeps.Outcome("pruned", "slow")
  steps = {row["step"] for row in metrics_log.read_metrics(workdirs[1])}
  assert steps == {4}
  status = json.loads((workdirs[1] / "result.json").read_text())["status"]
  assert status == "ended early: slow"
  _assert_same(workdirs[2], _alone(recipe, tmp_path / "alone", overrides[2]))


@pytest.mark.slow
def test_a_diverged_member_leaves_and_reports_its_step(recipe, tmp_path):
  settings = [{"optimizer.learning_rate": rate} for rate in (0.1, 1e30)]
  overrides = _overrides(settings, **{"optimizer.name": "sgd"})
  (first, _), outcomes = _together(recipe, tmp_path, overrides)
  assert [each.state for each in outcomes] == ["complete", "failed"]
  assert outcomes[1].reason.startswith("diverged: step ")
  _assert_same(first, _alone(recipe, tmp_path / "alone", overrides[0]))


def test_a_state_that_is_not_finite_is_found_at_its_place(recipe):
  """A NaN in one row of the moving average does not affect any loss."""
  program, state = stack.make_program(_trials(recipe, 3))
  first, *rest = jax.tree.leaves(state.ema)
  first = first.at[(1, *(0,) * (first.ndim - 1))].set(np.nan)
  ema = jax.tree.unflatten(jax.tree.structure(state.ema), [first, *rest])
  healthy, broken, other = program.not_finite(state.replace(ema=ema))
  assert (healthy, other) == ([], [])
  assert len(broken) == 1 and broken[0].startswith("ema/")


@pytest.mark.slow
def test_trials_that_stay_keep_their_states_and_numbers(recipe):
  """A program of some trials continues like the program of all trials."""
  program, state = stack.make_program(_trials(recipe, 4))
  state, _ = program.step(state, range(2))
  kept, few = program.keep(state, [1, 3])
  assert kept.places == 2
  expected, sums = program.step(state, range(2, 4))
  found, sums_of_few = kept.step(few, range(2, 4))
  for place, other in enumerate((1, 3)):
    for name, column in sums_of_few.items():
      np.testing.assert_allclose(
        column[:, place], sums[name][:, other], rtol=1e-5
      )
    mine, theirs = (
      jax.tree.leaves(each)
      for each in (kept.split(found)[place], program.split(expected)[other])
    )
    for a, b in zip(mine, theirs, strict=True):
      np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def _trials(recipe, count):
  """Trials that differ in their seeds and learning rates."""
  trials = []
  for seed in range(count):
    numbers = {"seed": seed, "optimizer.learning_rate": 0.01 * (seed + 1)}
    config = configs.load(recipe, {**_BASE, **numbers})
    parts = setup.prepare(config, setup.open_splits(config))
    trace = programs.trace(config, parts)
    trials.append(stack.Trial(config, parts, trace))
  return trials


def test_an_evaluation_that_overflows_at_the_end_fails_its_trial_alone(
  recipe, tmp_path
):
  settings = [{"optimizer.learning_rate": rate} for rate in (0.1, 3e37)]
  more = {"optimizer.name": "sgd", "train.duration": "1 steps"}
  overrides = _overrides(settings, **more)
  (_, second), outcomes = _together(recipe, tmp_path, overrides)
  assert [each.state for each in outcomes] == ["complete", "failed"]
  assert "is not finite" in outcomes[1].reason
  assert checkpoint.newest(second) is None
  assert (second / "damaged" / "1").is_dir()
  status = json.loads((second / "result.json").read_text())["status"]
  assert "last good checkpoint is kept: none yet" in status


@pytest.mark.slow
def test_preempted_each_trial_is_resumed_alone(recipe, tmp_path):
  overrides = _overrides(_NUMBERS)

  def preempt_at_8(told):
    if next(iter(told.values()))[0] == 8:
      signal.raise_signal(signal.SIGTERM)
    return {}

  with pytest.raises(train_loop.Preempted, match="saved at step 8"):
    _together(recipe, tmp_path, overrides, preempt_at_8)
  workdir = tmp_path / "1"
  with checkpoint.open_saved(workdir) as manager:
    assert manager.latest_step() == 8
  status = json.loads((workdir / "result.json").read_text())["status"]
  assert status == "preempted: stopped and saved at step 8"
  _alone(recipe, workdir, overrides[1])
  _assert_same(workdir, _alone(recipe, tmp_path / "alone", overrides[1]))


def test_trials_that_cannot_share_a_stack_run_alone(recipe, tmp_path, caplog):
  settings = [
    {"seed": 0},
    {"seed": 1},
    {"model.options.hidden": (9,)},
    {"optimizer.weight_decay": 0.1},
    {"train.batch_size": 8},
    {"data.placement": "host"},
    {"optimizer.name": "no such"},
  ]
  with caplog.at_level("INFO", "jaxvision"):
    _, outcomes = _together(recipe, tmp_path, _overrides(settings))
  assert [each and each.state for each in outcomes] == [
    *("complete", "complete"),
    *(None,) * 5,
  ]
  assert 'its data.placement is not "device"' in caplog.text
  assert "unknown optimizer 'no such'" in caplog.text


def test_after_an_out_of_memory_error_each_trial_runs_alone(recipe, tmp_path):
  def no_memory(told):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

  overrides = _overrides([{"seed": 0}, {"seed": 1}])
  _, outcomes = _together(recipe, tmp_path, overrides, no_memory)
  assert outcomes == [None, None]
