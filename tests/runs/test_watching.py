"""A look reads only what has changed, and no folder stops it."""

import contextlib
import pathlib
import shutil
import sys

import fake_sweeps
import pytest
import watched_runs

from jaxvision.runs import metrics_log, watching
from jaxvision.runs import workdir as workdirs

# The paths that are opened while there is a list in it.
_OPENED: list[list[str]] = []
sys.addaudithook(
  lambda event, arguments: (
    _OPENED[-1].append(str(arguments[0]))
    if _OPENED and event == "open"
    else None
  )
)


@contextlib.contextmanager
def _reading(folder):
  """Gives [opened files in the folder], and then the bytes that were read."""
  _OPENED.append([])
  before, found = _bytes_read(), []
  try:
    yield found
    count = _bytes_read() - before
  finally:
    opened = _OPENED.pop()
  found[:] = [path for path in opened if str(folder) in path and "." in path]
  found.append(count)


def _bytes_read():
  text = pathlib.Path("/proc/self/io").read_text()
  return int(text.split("rchar:")[1].split()[0])


def _append(folder, step, **more):
  with metrics_log.open_metrics(
    folder, first_step=step - 1, tensorboard=False
  ) as write:
    write(step, {**watched_runs.values(step), **more})


def _add_line(folder, step):
  """Appends a line as an open log does: the file is not rewritten."""
  _append(folder.parent / "other", step)
  line = (folder.parent / "other" / "metrics.jsonl").read_bytes()
  with (folder / "metrics.jsonl").open("ab") as file:
    file.write(line)


@pytest.fixture
def run(tmp_path):
  folder = tmp_path / "all" / "run"
  with watched_runs.training(folder) as write:
    write(1, watched_runs.values(1))
  (tmp_path / "all" / "other").mkdir()
  return folder


@pytest.mark.skipif(
  not pathlib.Path("/proc/self/io").exists(), reason="needs Linux"
)
def test_a_look_at_200_runs_reads_the_new_lines_only(tmp_path):
  root = tmp_path / "all"
  first = root / "000"
  with watched_runs.training(first, total=1000) as write:
    for step in range(1, 51):
      write(step, watched_runs.values(step))
  for number in range(1, 200):
    shutil.copytree(first, root / f"{number:03d}")
  with _reading(root) as found:
    before = watching.look([root])
  *opened, count = found
  log = (first / "metrics.jsonl").stat().st_size
  assert len(opened) == 3 * 200 and count > 200 * log
  with _reading(root) as found:
    same = watching.look([root], before)
  *opened, count = found
  assert same == before and opened == [] and count < 1000
  changed = [root / f"{number:03d}" for number in (3, 77, 150)]
  (root / "other").mkdir()
  for folder in changed:
    _add_line(folder, 51)
  with _reading(root) as found:
    after = watching.look([root], before)
  *opened, count = found
  assert opened == [str(each / "metrics.jsonl") for each in changed]
  # Each new line, and the one before it.
  assert count < 3 * 2.5 * log / 50 + 1000
  assert after == watching.look([root])
  assert [name for name in after if after[name] != before[name]] == [
    each.name for each in changed
  ]


def test_looks_in_between_see_what_one_look_sees(run):
  found, root = None, run.parent
  with watched_runs.training(run, first_step=1) as write:
    for step in (10, 20, 30):
      write(step, watched_runs.values(step))
      write(step, {"validation/top1": step / 100})
      found = watching.look([root], found)
      assert found == watching.look([root])
      assert found["run"].summary.step == step
  # It is resumed from a checkpoint, and repeats its last steps.
  with watched_runs.training(run, first_step=20) as write:
    write(25, watched_runs.values(25, seconds=2.0))
    found = watching.look([root], found)
    assert found["run"].summary.step == 25
  workdirs.write_result(run, {"status": "finished", "total_steps": 30})
  found = watching.look([root], found)
  assert found == watching.look([root])
  assert found["run"].result["status"] == "finished"


def test_half_of_a_line_is_read_when_it_is_whole(run):
  root, path = run.parent, run / "metrics.jsonl"
  before = watching.look([root])
  _append(root / "other", 2)
  line = (root / "other" / "metrics.jsonl").read_bytes()
  for part, step in ((line[:20], 1), (line[20:], 2)):
    with path.open("ab") as file:
      file.write(part)
    before = watching.look([root], before)
    assert before["run"].summary.step == step


def test_runs_appear_and_disappear(run):
  root = run.parent
  found = watching.look([root])
  assert [*found] == ["run"]
  with watched_runs.training(root / "new"):
    found = watching.look([root], found)
    assert [*found] == ["new", "run"]
  shutil.rmtree(run)
  found = watching.look([root], found)
  assert [*found] == ["new"]
  shutil.rmtree(root)
  assert watching.look([root], found) == {}


def test_a_folder_may_be_at_any_moment_of_its_creation(tmp_path):
  """Every prefix of every file, and every subset of the first files."""
  with watched_runs.training(tmp_path / "whole") as write:
    write(1, watched_runs.values(1))
  files = sorted((tmp_path / "whole").iterdir())
  for i, damaged in enumerate(files):
    content = damaged.read_bytes()
    for size in {0, 1, len(content) // 2}:
      folder = tmp_path / f"{i}-{size}" / "run"
      folder.mkdir(parents=True)
      for path in files[: i + 1]:
        shutil.copy(path, folder)
      (folder / damaged.name).write_bytes(content[:size])
      found = watching.look([folder.parent])
      if damaged.name == "config.json":
        assert "config.json" in found["run"].problems
      elif damaged.name == "result.json":
        assert "result.json" in found["run"].problems


@pytest.mark.parametrize("name", ["step", "seconds", "epoch", "top1"])
def test_a_number_that_is_too_large_is_a_damaged_line(name, run):
  with (run / "metrics.jsonl").open("a") as file:
    file.write(f'{{"step": 2, "{name}": 1{"0" * 400}}}\n')
  assert watching.look([run.parent])["run"].summary.step == 1


def test_an_unreadable_file_is_a_problem_until_it_is_whole(run):
  root, content = run.parent, (run / "result.json").read_bytes()
  (run / "result.json").write_bytes(content[:5])
  found = watching.look([root])
  assert "is damaged" in found["run"].problems["result.json"]
  (run / "result.json").write_bytes(content)
  found = watching.look([root], found)
  assert found["run"].problems == {}
  assert found["run"].result["total_steps"] == 100
  (run / "metrics.jsonl").unlink()
  (run / "metrics.jsonl").mkdir()
  found = watching.look([root], found)
  assert "directory" in found["run"].problems["metrics.jsonl"]


def test_ended_trials_are_read_on_demand(tmp_path):
  trials = [
    {"settings": {"r": 1}, "value": 0.5},
    {"settings": {"r": 2}, "state": "running"},
  ]
  fake_sweeps.write(tmp_path / "swept", trials)
  for trial in (tmp_path / "swept" / "trials").iterdir():
    with (trial / "metrics.jsonl").open("a") as file:
      file.write("\n")
  ended, live = watching.look([tmp_path], ended_trials=False)[
    "swept"
  ].trials.values()
  assert ended.trial["value"] == 0.5 and not ended.summary.step
  assert live.summary.step == 20
  ended, _ = watching.look([tmp_path])["swept"].trials.values()
  assert ended.summary.step == 20


@pytest.mark.parametrize(
  ("keys", "epochs_per_step", "expected"),
  [
    ({"train.duration": "30 steps"}, None, 30),
    ({"train.duration": "30 epochs"}, None, None),
    ({"train.duration": "30 epochs"}, 0.02, 1500),
    ({"train.duration": "6400 examples"}, None, 100),
    (
      {"train.duration": "30 steps", "train.steps_per_dispatch": 8},
      None,
      32,
    ),
    ({"train.duration": "long"}, None, None),
    ({}, None, None),
  ],
)
def test_a_trial_without_a_result_has_the_steps_of_its_duration(
  keys, epochs_per_step, expected
):
  run = watching.Run(
    pathlib.Path("run"),
    config={"train.batch_size": 64, **keys},
    summary=watching.Summary(epochs_per_step=epochs_per_step),
  )
  assert watching.total_steps(run) == expected
