"""Runs of several real processes, which start, fail and stop together.

All listen on 127.0.0.1 only. "The same" means an equal fingerprint of the final
state if the topology is the same, and close numbers otherwise.
"""

import functools
import json
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest
import spawned
import tiny_runs

from jaxvision import cli
from jaxvision.processes import exit_codes

_RECIPE = "recipe.py"
# Evaluations at 12, 24, ..., checkpoints there, where it is the best, and at
# 8, 16, ...
_OVERRIDES = {
  "model.options.hidden": "(8,)",
  "data.test": "validation",
  "train.batch_size": 8,
  "train.duration": "48 steps",
  "evaluate.every": "12 steps",
  "evaluate.batch_size": 4,
  "checkpoint.every": "8 steps",
  "log.every": "4 steps",
  "log.tensorboard": False,
}
# Long enough for many kills.
_EVALUATION = 200  # steps
# Longer than the seconds in which a process may be killed while it starts.
_LONG = {
  "train__duration": "4000 steps",
  "evaluate__every": f"{_EVALUATION} steps",
  "checkpoint__every": "300 steps",
  "log__every": "100 steps",
}
# The exit codes of a process after another process of the run has failed.
_ABANDONED = (exit_codes.ABANDONED, -signal.SIGABRT)
# Time limit for the detection of a lost process: the time-out of
# `start_group`, 20 s, doubled for a busy machine.
_NOTICED_WITHIN = 40


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
  """The path of a recipe, beside its data."""
  folder = tmp_path_factory.mktemp("recipe")
  sizes = {"train": 90, "validation": 37}
  tiny_runs.write_data(folder, sizes=sizes, num_classes=3)
  tiny_runs.load_config(folder)
  return folder / _RECIPE


def _arguments(recipe, workdir, **overrides):
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  values = {**_OVERRIDES, **dotted}.items()
  return [
    *("train", "--config", str(recipe), "--workdir", str(workdir)),
    *(f"--config.{key}={value}" for key, value in values),
  ]


def _start(recipe, workdir, *, count=2, devices=1, **overrides):
  """The commands of a run; a single process is started without any others."""
  arguments = _arguments(recipe, workdir, **overrides)
  output = workdir.with_suffix(".txt")
  if count == 1:
    return [spawned.start(arguments, output=output, devices=devices)]
  return spawned.start_group(
    [arguments] * count, output=output, devices=devices
  )


def _finish(group):
  """The output of the processes; all must succeed."""
  codes = [command.wait() for command in group]
  printed = [command.output.read_text() for command in group]
  assert codes == [0] * len(group), "\n".join(printed)
  return printed


def _losses(workdir):
  lines = spawned.measured(workdir)
  return {x["step"]: x["train/loss"] for x in lines if "train/loss" in x}


def _last_step(workdir):
  try:
    lines = spawned.measured(workdir)
  except ValueError:  # in the middle of a line
    return 0
  return lines[-1]["step"] if lines else 0


def _evaluation(workdir, name="evaluation.npz"):
  with np.load(workdir / name) as arrays:
    return dict(arrays)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
  """{processes: workdir} of runs on two devices without interruptions."""
  folder = tmp_path_factory.mktemp("whole")
  printed = {}
  for count in (1, 2):
    workdir = folder / str(count)
    group = _start(recipe, workdir, count=count, devices=2 // count)
    printed[count] = _finish(group)
  return {count: folder / str(count) for count in (1, 2)}, printed


def _same(workdir, reference):
  assert spawned.measured(workdir) == spawned.measured(reference)
  ours, theirs = spawned.result(workdir), spawned.result(reference)
  for key in ("fingerprint", "step", "best", "final", "status"):
    assert ours[key] == theirs[key]


@pytest.mark.slow
def test_two_processes_are_one_with_two_devices(whole):
  (one, two), (_, printed) = (list(each.values()) for each in whole)
  assert _losses(two) == pytest.approx(_losses(one), rel=1e-5)
  ours, theirs = spawned.result(two), spawned.result(one)
  assert ours["final"]["metrics"] == pytest.approx(
    theirs["final"]["metrics"], rel=1e-5
  )
  ours, theirs = _evaluation(two), _evaluation(one)
  np.testing.assert_array_equal(ours["confusion"], theirs["confusion"])
  assert ours["confusion"].sum() == 37
  # Some from each process, and none twice.
  assert ours["mistake_ids"].tolist() == theirs["mistake_ids"].tolist()
  np.testing.assert_array_equal(
    ours["mistake_images"], theirs["mistake_images"]
  )
  first, second = printed
  assert "step 48/48" in first and "on 2 x cpu" in first
  assert "step " not in second and "report" not in second
  assert (two / "report.html").exists()
  assert not list(two.glob(".seen-*"))
  ours, theirs = (_evaluation(each, "predictions.npz") for each in (two, one))
  assert ours["positions"].tolist() == list(range(37))
  for name in ("positions", "labels", "sample_ids", "sample_images"):
    np.testing.assert_array_equal(ours[name], theirs[name])
  np.testing.assert_allclose(
    ours["probabilities"], theirs["probabilities"], rtol=1e-4, atol=1e-6
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  "options",
  [
    {"data__placement": "device", "train__steps_per_dispatch": 4},
    {"mesh__fsdp": 0, "mesh__data": 2},
    {"evaluate__probes": "('knn(k=3)',)"},
  ],
  ids=lambda options: next(iter(options)),
)
def test_two_processes_of_two_devices_are_one_of_four(
  recipe, tmp_path, options
):
  runs = {count: tmp_path / str(count) for count in (1, 2)}
  for count, workdir in runs.items():
    group = _start(recipe, workdir, count=count, devices=4 // count, **options)
    _finish(group)
  assert _losses(runs[2]) == pytest.approx(_losses(runs[1]), rel=1e-5)
  for ours, theirs in zip(*map(spawned.measured, runs.values()), strict=True):
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_processes_that_differ_do_not_begin(recipe, tmp_path):
  arguments = [_arguments(recipe, tmp_path / "run", seed=n) for n in (0, 1, 0)]
  group = spawned.start_group(arguments, output=tmp_path / "out.txt")
  for command in group:
    assert command.wait() == 2
    printed = command.output.read_text()
    assert "the processes of this run differ" in printed
    assert re.search("  config: [0-9a-f]{16} in processes 0, 2\n", printed)
    assert re.search("  config: [0-9a-f]{16} in process 1\n", printed)
    assert "jax:" not in printed
  assert not (tmp_path / "run").exists()


def test_a_workdir_that_is_not_shared_is_refused(recipe, tmp_path):
  arguments = [_arguments(recipe, tmp_path / str(n)) for n in (0, 1)]
  group = spawned.start_group(arguments, output=tmp_path / "out.txt")
  for command in group:
    assert command.wait() == 2
    printed = command.output.read_text()
    assert "process 1 does not see what process 0 writes into" in printed
  assert not (tmp_path / "0" / "metrics.jsonl").exists()


@pytest.mark.slow
def test_the_workdir_of_another_config_is_refused_by_all(
  recipe, whole, tmp_path
):
  (_, two), _ = (list(each.values()) for each in whole)
  arguments = [_arguments(recipe, two, seed=7)] * 2
  group = spawned.start_group(arguments, output=tmp_path / "out.txt")
  for command in group:
    assert command.wait() == 2
    assert "  seed: 0 there, 7 here" in command.output.read_text()


def test_a_process_that_does_not_come_is_named(recipe, tmp_path):
  arguments = _arguments(recipe, tmp_path / "run")
  (command,) = spawned.start_group(
    [arguments, ()],
    output=tmp_path / "out.txt",
    variables={"JAXVISION_START_TIMEOUT": "1"},
  )
  assert command.wait() == 1
  assert "process 1 of 2 did not connect" in command.output.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
  "error, code", [("ValueError('broken')", 2), ("KeyError('broken')", 1)]
)
@pytest.mark.parametrize("loser", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_that_fails_ends_the_others(
  recipe, tmp_path, loser, error, code
):
  broken = tmp_path / _RECIPE
  broken.write_text(
    f"import os\n\nif os.environ['JAXVISION_PROCESS_ID'] == '{loser}':\n"
    f"  raise {error}\n{recipe.read_text()}"
  )
  group = _start(broken, tmp_path / "run")
  assert group[loser].wait() == code
  since = time.monotonic()
  assert group[1 - loser].wait() in _ABANDONED
  assert time.monotonic() - since < _NOTICED_WITHIN
  assert "broken" in group[loser].output.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("told", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_everywhere_at_one_step(
  recipe, whole, tmp_path, told, number
):
  (one, two), _ = (list(each.values()) for each in whole)
  workdir = tmp_path / "run"
  group = _start(recipe, workdir)
  group[0].signal_when(0, lambda: _last_step(workdir) >= 16)
  for process in told:
    group[process].signal_when(number, lambda: True)
  assert [command.wait() for command in group] == [cli.PREEMPTED] * 2
  step = spawned.result(workdir)["step"]
  for command in group:
    assert f"stopped and saved at step {step}" in command.output.read_text()
  elsewhere = {
    name: shutil.copytree(workdir, tmp_path / name)
    for name in ("alone", "four", "narrow")
  }
  printed, _ = _finish(_start(recipe, workdir))
  assert f"resuming from step {step}" in printed
  _same(workdir, two)
  topologies = {"alone": (1, 2), "four": (2, 2), "narrow": (1, 1)}
  for name, (count, devices) in topologies.items():
    folder = elsewhere[name]
    _finish(_start(recipe, folder, count=count, devices=devices))
    assert _losses(folder) == pytest.approx(_losses(one), rel=1e-5)
    assert spawned.result(folder)["step"] == 48


@pytest.mark.slow
@pytest.mark.parametrize("loser", [0, 1])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_ends_the_others(
  recipe, tmp_path, loser, how
):
  workdir = tmp_path / "run"
  group = _start(recipe, workdir, train__duration="100000 steps")
  group[loser].signal_when(how, lambda: _last_step(workdir) >= 16)
  since = time.monotonic()
  assert group[1 - loser].wait() in _ABANDONED
  assert time.monotonic() - since < _NOTICED_WITHIN
  group[loser].process.kill()
  group[loser].wait()


def _stepping(workdir, step, since):
  return _lines_since(workdir, since) and _last_step(workdir) >= step


def _saving(workdir, step, since):
  """A checkpoint is being written; its folder has the name of its step."""
  parts = workdir.glob("checkpoints/*orbax-checkpoint-tmp*")
  return any(
    int(path.name.partition(".")[0]) >= step and _modified(path) > since
    for path in parts
  )


def _evaluating(workdir, step, since):
  """True if the line of the step is logged and its evaluation is not."""
  lines = _lines_since(workdir, since)
  if not lines or not lines[-1].endswith("}"):
    return False
  last = json.loads(lines[-1])
  due = last["step"] >= step and last["step"] % _EVALUATION == 0
  return due and "train/loss" in last


def _lines_since(workdir, since):
  path = workdir / "metrics.jsonl"
  return path.read_text().splitlines() if _modified(path) > since else []


def _modified(path):
  try:
    return path.stat().st_mtime
  except FileNotFoundError:
    return 0.0


@pytest.fixture(scope="module")
def long(recipe, tmp_path_factory):
  """{processes: workdir} of longer runs on two devices, not interrupted."""
  folder = tmp_path_factory.mktemp("long")
  for count in (1, 2):
    workdir = folder / str(count)
    _finish(_start(recipe, workdir, count=count, devices=2 // count, **_LONG))
  return {count: folder / str(count) for count in (1, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_killed_at_twelve_random_moments(recipe, long, tmp_path, count):
  """Any process is killed, while starting, stepping, saving or evaluating."""
  workdir, moments = tmp_path / "run", random.Random(count)
  phases = [None, _stepping, _saving, _evaluating] * 3
  moments.shuffle(phases)
  steps = sorted(moments.choices(range(2000), k=len(phases)))
  for phase, step in zip(phases, steps, strict=True):
    since = time.time()
    group = _start(recipe, workdir, count=count, devices=2 // count, **_LONG)
    victim = moments.choice(group)
    if phase:
      now = functools.partial(phase, workdir, step, since)
      victim.signal_when(0, now)
    time.sleep(moments.uniform(0, 0.01 if phase else 3))
    victim.process.kill()
    assert victim.wait() == -signal.SIGKILL, (phase, step)
    for other in group:
      assert other is victim or other.wait() in _ABANDONED, (phase, step)
  _finish(_start(recipe, workdir, count=count, devices=2 // count, **_LONG))
  _same(workdir, long[count])
  assert spawned.result(workdir)["goodput"] < 0.5
