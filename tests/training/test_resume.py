"""A killed, stopped or damaged run ends with the same result as a whole run.

The runs are real processes, on one virtual device by default. "The same"
means the same fingerprint of the final state, the same lines of metrics.jsonl
without times, and the same metrics of the test split.
"""

import functools
import json
import random
import resource
import shutil
import signal
import time

import pytest
import spawned

from jaxvision import cli, training

# Evaluations are at 40, 80, ...; checkpoints are at 60, 120, ... and at each
# evaluation with a new best metric; each line is a mean over 20 steps.
_OVERRIDES = {
  "train.batch_size": 16,
  "train.duration": "400 steps",
  "evaluate.every": "40 steps",
  "evaluate.batch_size": 64,
  "checkpoint.every": "60 steps",
  "log.every": "20 steps",
}
_RUNS = {
  "mlp": {
    "model.options.hidden": "(32,)",
    "model.options.dropout": 0.1,
    "data.placement": "device",
    "train.steps_per_dispatch": 4,
  },
  "resnet": {
    "model.options.blocks": "(1,)",
    "model.options.features": 4,
    "data.placement": "host",
    "data.train_transforms": "('random_flip(p=0.3)',)",
    "train.duration": "200 steps",
  },
}


def _overrides(model):
  data_dir = {"data.data_dir": spawned.prepared_digits()}
  return {**_OVERRIDES, **_RUNS[model], **data_dir}


def _arguments(model, workdir):
  config = spawned.recipe(f"digits.py:{model}")
  values = _overrides(model).items()
  return [
    *("train", "--config", config, "--workdir", str(workdir)),
    *(f"--config.{key}={value}" for key, value in values),
  ]


def _start(model, workdir, *, devices=1):
  return spawned.start(
    _arguments(model, workdir),
    output=workdir.with_suffix(".txt"),
    devices=devices,
  )


def _printed(workdir):
  return workdir.with_suffix(".txt").read_text()


_each_run = pytest.mark.parametrize(
  "model", ["mlp", pytest.param("resnet", marks=[pytest.mark.slow])]
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A function: model -> workdir of a run without interruptions."""
  folder = tmp_path_factory.mktemp("whole")

  @functools.cache
  def train(model):
    assert _start(model, folder / model).wait() == 0, _printed(folder / model)
    return folder / model

  return train


@pytest.fixture(scope="module")
def preempted(tmp_path_factory):
  """(exit code, workdir) of an mlp run that got SIGTERM in the middle."""
  workdir = tmp_path_factory.mktemp("preempted") / "mlp"
  command = _start("mlp", workdir)
  code = command.end_when(signal.SIGTERM, lambda: _last_step(workdir) >= 160)
  return code, workdir


def _same(workdir, reference):
  assert spawned.measured(workdir) == spawned.measured(reference)
  ours, theirs = spawned.result(workdir), spawned.result(reference)
  for key in ("fingerprint", "step", "best", "final", "status"):
    assert ours[key] == theirs[key]
  return True


def _last_step(workdir):
  lines = _whole_lines(workdir)
  return lines[-1]["step"] if lines else 0


def _whole_lines(workdir):
  try:
    return spawned.measured(workdir)
  except ValueError:  # the process is in the middle of a line
    return []


def _started(workdir):
  """The number of starts that the run has recorded."""
  path = workdir / "environment.json"
  return len(json.loads(path.read_text())) if path.exists() else 0


def _evaluating(workdir):
  """True if step 40 is trained and its evaluation has not been logged."""
  lines = _whole_lines(workdir)
  return bool(lines) and "train/loss" in lines[-1] and lines[-1]["step"] == 40


def _saving(workdir):
  return list(workdir.glob("checkpoints/*orbax-checkpoint-tmp*"))


def _steps(workdir):
  names = [path.name for path in workdir.glob("checkpoints/*")]
  return sorted(int(name) for name in names if name.isdecimal())


def _snapshot(folder):
  return {
    path: path.read_bytes() for path in folder.rglob("*") if path.is_file()
  }


@_each_run
def test_killed_while_evaluating_saving_and_stepping(model, whole, tmp_path):
  workdir = tmp_path / model
  kill = signal.SIGKILL

  command = _start(model, workdir)
  assert command.end_when(kill, lambda: _evaluating(workdir)) == -kill
  assert _evaluating(workdir)

  command = _start(model, workdir)
  assert command.end_when(kill, lambda: _saving(workdir)) == -kill
  assert _saving(workdir)

  command = _start(model, workdir)
  assert command.end_when(kill, lambda: _last_step(workdir) >= 140) == -kill
  assert _last_step(workdir) < spawned.result(whole(model))["step"]

  assert _start(model, workdir).wait() == 0, _printed(workdir)
  assert "resuming from step" in _printed(workdir)
  assert not _saving(workdir)
  assert _same(workdir, whole(model))


@pytest.mark.slow
@_each_run
def test_killed_at_eight_random_moments(model, whole, tmp_path):
  workdir, moments = tmp_path / model, random.Random(0)
  last = spawned.result(whole(model))["step"] - 100
  for number, step in enumerate(sorted(moments.choices(range(last), k=8)), 1):
    command = _start(model, workdir)
    command.signal_when(0, lambda: _started(workdir) == number)  # noqa: B023
    command.signal_when(0, lambda: _last_step(workdir) >= step)  # noqa: B023
    time.sleep(moments.uniform(0, 0.02))
    command.process.kill()
    assert command.wait() == -signal.SIGKILL
  assert _start(model, workdir).wait() == 0, _printed(workdir)
  assert _same(workdir, whole(model))


@pytest.mark.slow
def test_eight_devices_killed_and_not(tmp_path):
  workdir = tmp_path / "killed"
  command = _start("mlp", workdir, devices=8)
  command.end_when(signal.SIGKILL, lambda: _last_step(workdir) >= 120)
  assert _start("mlp", workdir, devices=8).wait() == 0, _printed(workdir)
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=tmp_path / "here",
    overrides=_overrides("mlp"),
  )
  assert _same(workdir, tmp_path / "here")


@pytest.mark.slow
def test_sigterm_saves_and_exits_with_its_own_code(preempted, whole, tmp_path):
  code, workdir = preempted
  assert code == cli.PREEMPTED
  stopped = spawned.result(workdir)
  assert stopped["status"].startswith("preempted")
  assert stopped["step"] == _steps(workdir)[-1] < 400
  assert f"saved at step {stopped['step']}" in _printed(workdir)
  resumed = tmp_path / "resumed"
  shutil.copytree(workdir, resumed)
  assert _start("mlp", resumed).wait() == 0
  assert f"resuming from step {stopped['step']}" in _printed(resumed)
  assert _same(resumed, whole("mlp"))


@pytest.mark.slow
def test_sigterm_before_the_first_step_takes_no_step(whole, tmp_path):
  workdir = tmp_path / "early"
  command = _start("mlp", workdir)
  begun = (workdir / "config.json").exists
  assert command.end_when(signal.SIGTERM, begun) == cli.PREEMPTED
  stops = (
    "stopped without a new step, at step 0",
    "stopped while the step was",
  )
  assert any(each in _printed(workdir) for each in stops)
  assert _steps(workdir) == []
  assert _start("mlp", workdir).wait() == 0
  assert _same(workdir, whole("mlp"))


@pytest.mark.slow
def test_sigterm_in_an_evaluation_does_not_wait_for_its_end(whole, tmp_path):
  workdir = tmp_path / "run"
  slow = ["--config.evaluate.batch_size=1"]  # does not change the metrics
  command = spawned.start(
    [*_arguments("mlp", workdir), *slow], output=workdir.with_suffix(".txt")
  )
  # The evaluation compiles first, which gives time for the signal.
  code = command.end_when(signal.SIGTERM, lambda: _evaluating(workdir))
  assert code == cli.PREEMPTED, _printed(workdir)
  assert "saved at step 40" in _printed(workdir)
  assert _evaluating(workdir)
  command = spawned.start(
    [*_arguments("mlp", workdir), *slow], output=workdir.with_suffix(".txt")
  )
  assert command.wait() == 0, _printed(workdir)
  ours, theirs = map(spawned.result, (workdir, whole("mlp")))
  assert ours["fingerprint"] == theirs["fingerprint"]
  assert ours["best"]["step"] == theirs["best"]["step"]
  lines = [line["step"] for line in spawned.measured(workdir)]
  assert lines == [line["step"] for line in spawned.measured(whole("mlp"))]


def test_interrupt_before_the_first_step_ends_at_once(tmp_path):
  workdir = tmp_path / "run"
  command = _start("mlp", workdir)
  begun = (workdir / "config.json").exists
  assert command.end_when(signal.SIGINT, begun) == -signal.SIGINT
  assert not (workdir / "metrics.jsonl").exists()


@pytest.mark.slow
def test_second_interrupt_does_not_wait_for_the_evaluation(tmp_path):
  workdir = tmp_path / "run"
  command = _start("mlp", workdir)
  # The evaluation compiles first, which gives time for both signals.
  command.signal_when(signal.SIGINT, lambda: _evaluating(workdir))
  noticed = lambda: "saving and stopping" in _printed(workdir)  # noqa: E731
  assert command.end_when(signal.SIGINT, noticed) == cli.INTERRUPTED
  assert "Traceback" not in _printed(workdir)
  assert _whole_lines(workdir)[-1].keys() >= {"train/loss"}


def _flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def _cut(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.slow
def test_damaged_checkpoint_is_set_aside(preempted, whole, tmp_path):
  _, stopped = preempted
  damages = {"flipped": _flip, "cut": _cut, "missing": lambda p: p.unlink()}
  started = {}
  for name, damage in damages.items():
    workdir = tmp_path / name
    shutil.copytree(stopped, workdir)
    *_, before, newest = _steps(workdir)
    state = workdir / "checkpoints" / str(newest) / "state"
    files = [path for path in state.rglob("d/*") if path.is_file()]
    damage(max(files, key=lambda path: path.stat().st_size))
    started[name] = _start("mlp", workdir)
  for name, command in started.items():
    workdir = tmp_path / name
    assert command.wait() == 0, _printed(workdir)
    assert f"checkpoints/{newest} is damaged" in _printed(workdir)
    assert f"resuming from step {before}" in _printed(workdir)
    assert (workdir / "damaged" / str(newest) / "state").is_dir()
    assert _same(workdir, whole("mlp"))


@pytest.mark.slow
def test_full_disk_names_the_last_good_checkpoint(whole, tmp_path):
  workdir = tmp_path / "run"
  command = _start("mlp", workdir)

  def fill():
    if not (saved := (workdir / "checkpoints").exists() and _steps(workdir)):
      return False
    # A file may grow only by a few lines of text.
    limits = (16384, resource.RLIM_INFINITY)
    resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, limits)
    return saved

  # Signal 0 has no effect.
  assert command.end_when(0, fill) == 1, _printed(workdir)
  assert f"the last good one is {_steps(workdir)[-1]}" in _printed(workdir)
  assert "Free some space" in _printed(workdir)
  assert "Traceback" not in _printed(workdir)
  assert _start("mlp", workdir).wait() == 0
  assert _same(workdir, whole("mlp"))


def test_workdir_of_another_config_is_refused(whole, capsys):
  workdir = whole("mlp")
  before = _snapshot(workdir)
  arguments = [*_arguments("mlp", workdir), "--config.seed=7"]
  assert cli.main(arguments) == 2
  assert "  seed: 0 there, 7 here" in capsys.readouterr().err
  assert _snapshot(workdir) == before


def test_overfitting_is_another_run(whole, capsys):
  before = _snapshot(whole("mlp"))
  arguments = [*_arguments("mlp", whole("mlp")), "--overfit", "32"]
  assert cli.main(arguments) == 2
  assert "--overfit: 0 there, 32 here" in capsys.readouterr().err
  assert _snapshot(whole("mlp")) == before


def test_finished_run_is_left_as_it_is(whole, capsys):
  before = _snapshot(whole("mlp"))
  assert cli.main(_arguments("mlp", whole("mlp"))) == 0
  printed = capsys.readouterr().out
  assert "finished already" in printed
  accuracy = spawned.result(whole("mlp"))["final"]["metrics"]["top1"]
  assert f"test accuracy {accuracy:.2%}" in printed.splitlines()[-1]
  assert _snapshot(whole("mlp")) == before


def test_report_of_a_finished_run_comes_back(whole, tmp_path):
  workdir = shutil.copytree(whole("mlp"), tmp_path / "run")
  (workdir / "report.html").unlink()
  assert cli.main(_arguments("mlp", workdir)) == 0
  assert (workdir / "report.html").exists()


@pytest.mark.parametrize("place", ["a_file/run", "/proc/run"])
def test_workdir_that_cannot_be_written(place, tmp_path, capsys):
  (tmp_path / "a_file").touch()
  workdir = tmp_path / place  # an absolute place replaces tmp_path
  assert cli.main(_arguments("mlp", workdir)) == 2
  error = capsys.readouterr().err
  assert f"cannot write the workdir {workdir}" in error
  assert "give --workdir a writable folder" in error


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("taught") / "teacher"
  short = {"train.duration": "80 steps", "evaluate.every": "80 steps"}
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=workdir,
    overrides={**_overrides("mlp"), **short},
  )
  return workdir


def _student(teacher, workdir, *, stored):
  """The arguments of a student; its images are mixed unless stored."""
  mixup = "()" if stored else "('random_mixup(0.5)',)"
  values = {
    "task.name": "distillation",
    "task.teachers": f"('{teacher}',)",
    "task.teacher_logits": str(teacher.parent / "logits") if stored else "",
    "data.device_transforms": mixup,
  }
  options = (f"--config.{key}={value}" for key, value in values.items())
  return [*_arguments("mlp", workdir), *options]


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_a_killed_student_ends_like_a_whole_one(teacher, stored, tmp_path):
  whole, workdir = tmp_path / "whole", tmp_path / "killed"
  for folder, step in ((whole, None), (workdir, 100), (workdir, 240)):
    command = spawned.start(
      _student(teacher, folder, stored=stored),
      output=folder.with_suffix(".txt"),
    )
    if step is None:
      assert command.wait() == 0, _printed(folder)
    else:
      code = command.end_when(
        signal.SIGKILL, lambda n=step: _last_step(workdir) >= n
      )
      assert code == -signal.SIGKILL
  # A resumed run takes its config, and the teacher, from the folder.
  last = spawned.start(
    ["train", "--workdir", str(workdir)], output=workdir.with_suffix(".txt")
  )
  assert last.wait() == 0, _printed(workdir)
  assert "resuming from step" in _printed(workdir)
  assert _same(workdir, whole)


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_two_processes_teach_like_one(teacher, stored, tmp_path):
  alone, together = tmp_path / "alone", tmp_path / "together"
  whole = spawned.start(
    _student(teacher, alone, stored=stored),
    output=alone.with_suffix(".txt"),
    devices=4,
  )
  assert whole.wait() == 0, _printed(alone)
  if stored:
    shutil.rmtree(teacher.parent / "logits")
  group = spawned.start_group(
    [_student(teacher, together, stored=stored)] * 2,
    output=together.with_suffix(".txt"),
    devices=2,
  )
  for number, command in enumerate(group):
    text = tmp_path / f"together_{number}.txt"
    assert command.wait() == 0, text.read_text()
  ours, theirs = (
    spawned.result(each)["final"]["metrics"] for each in (together, alone)
  )
  assert ours == pytest.approx(theirs, rel=1e-4)
