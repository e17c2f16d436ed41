"""Trainings with trackers: no tracker changes a number of the training."""

import json
import logging
import signal
import subprocess
import threading

import pytest
import spawned
import tiny_runs
import tracked_folders

from jaxvision import training
from jaxvision.runs import metrics_log
from jaxvision.runs.trackers import delivery
from jaxvision.training.loop import results
from jaxvision.training.setup import trackers

_OWN = """
import json

from jaxvision.runs import trackers


def make():
  def open_run(run):
    file = (run.folder / "seen.jsonl").open("a", buffering=1)

    def write(**record):
      file.write(json.dumps(record) + "\\n")

    def log(step, values):
      write(step=step, **values)

    def finish(end):
      write(end=end.state, summary=dict(end.summary))
      file.close()

    write(id=run.id, sent=run.sent)
    return trackers.Session(log=log, finish=finish)

  return open_run
"""
_STEPS = {
  "log.every": "1 steps",
  "log.tensorboard": False,
  "evaluate.every": "3 steps",
}


@pytest.fixture
def train(tmp_path, monkeypatch):
  """Trains a tiny run, without its report; returns its fingerprint."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(results.report, "write_report", lambda _: None)
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  (tmp_path / "my_tracker.py").write_text(_OWN)

  def train_run(workdir, *calls, **overrides):
    return training.train(
      "recipe.py",
      workdir=tmp_path / workdir,
      overrides={**_STEPS, "log.trackers": calls, **overrides},
    )["fingerprint"]

  return train_run


def _seen(folder):
  lines = (folder / "seen.jsonl").read_text().splitlines()
  return list(map(json.loads, lines))


def test_a_tracker_receives_the_log_and_the_result(train, tmp_path):
  train("run", "my_tracker.py:make")
  opened, *lines, end = _seen(tmp_path / "run")
  assert lines == metrics_log.read_metrics(tmp_path / "run")
  assert [line["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6]
  assert opened["sent"] == 0 and end["end"] == "finished"
  final = spawned.result(tmp_path / "run")["final"]
  best = spawned.result(tmp_path / "run")["best"]
  assert end["summary"] == {
    **{f"final/validation/{k}": v for k, v in final["metrics"].items()},
    "best/validation/top1": best["value"],
    "best/step": best["step"],
  }


def _raising(seen):
  def failing(kind, step):
    if step == 2:
      raise ConnectionError("no server")

  return tracked_folders.recorder(seen, failing=failing)


def _hanging(seen):
  def failing(kind, step):
    if step == 2:
      threading.Event().wait()  # its thread ends with the process

  return tracked_folders.recorder(seen, failing=failing)


def _killed(seen):
  """Sends to a process that is killed."""
  other = subprocess.Popen(
    ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
  )

  def failing(kind, step):
    if step == 2:
      other.kill()
      other.wait()
    try:
      other.stdin.write(b"line\n")
      other.stdin.flush()
    except BrokenPipeError:
      other.stdin.raw.close()
      raise

  return tracked_folders.recorder(seen, failing=failing)


@pytest.mark.parametrize("make", [_raising, _hanging, _killed])
def test_a_broken_tracker_changes_no_number(
  train, tmp_path, monkeypatch, caplog, make
):
  calm = train("calm")
  seen = []
  monkeypatch.setattr(delivery, "_END_SECONDS", 0.5)
  monkeypatch.setitem(trackers._FUNCTIONS, "wandb", lambda: make(seen))
  caplog.set_level(logging.WARNING, "jaxvision")
  assert train("run", "wandb") == calm
  assert spawned.measured(tmp_path / "run") == spawned.measured(
    tmp_path / "calm"
  )
  texts = [record.message for record in caplog.records]
  warned = [text for text in texts if "the tracker wandb" in text]
  assert len(warned) == 1


def test_a_killed_run_sends_each_line_once(tmp_path):
  (tmp_path / "my_tracker.py").write_text(_OWN)
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  words = [
    *("train", "--config", str(tmp_path / "recipe.py")),
    *("--config.train.duration=60 steps", "--config.log.every=1 steps"),
    *("--config.evaluate.every=20 steps", "--config.checkpoint.every=8 steps"),
    "--config.log.tensorboard=false",
  ]
  calm, hurt = tmp_path / "calm", tmp_path / "hurt"
  own = f"{tmp_path}/my_tracker.py:make"
  output = tmp_path / "output.txt"
  done = spawned.start([*words, "--workdir", str(calm)], output=output)
  assert done.wait() == 0, output.read_text()
  again = [*words, "--workdir", str(hurt), f"--config.log.trackers={own}"]

  def trained():
    return len(spawned.measured(hurt)) > 30

  started = spawned.start(again, output=output)
  assert started.end_when(signal.SIGKILL, trained) == -signal.SIGKILL
  assert spawned.start(again, output=output).wait() == 0, output.read_text()
  assert (
    spawned.result(hurt)["fingerprint"] == (spawned.result(calm)["fingerprint"])
  )
  seen = _seen(hurt)
  opened = [each for each in seen if "id" in each]
  assert len(opened) == 2 and len({each["id"] for each in opened}) == 1
  lines = [
    {k: v for k, v in each.items() if k not in spawned._TIMES}
    for each in seen
    if "step" in each
  ]
  expected = spawned.measured(calm)
  keys = [(line["step"], "train/loss" in line) for line in lines]
  assert len(keys) == len(set(keys)) and keys == sorted(
    keys, key=lambda key: (key[0], not key[1])
  )
  assert all(line in expected for line in lines)
  # The kill may lose the lines that were being sent.
  assert len(expected) - len(lines) <= delivery._CHUNK
  assert lines[-1] == expected[-1] and seen[-1]["end"] == "finished"


@pytest.mark.slow
def test_only_process_0_tracks(tmp_path):
  (tmp_path / "my_tracker.py").write_text(_OWN)
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  own = f"{tmp_path}/my_tracker.py:make"
  words = [
    *("train", "--config", str(tmp_path / "recipe.py")),
    *("--workdir", str(tmp_path / "run"), f"--config.log.trackers={own}"),
  ]
  output = tmp_path / "output.txt"
  both = spawned.start_group([words, words], output=output)
  assert [each.wait() for each in both] == [0, 0]
  opened, *lines, end = _seen(tmp_path / "run")
  assert opened["sent"] == 0 and end["end"] == "finished"
  assert lines == metrics_log.read_metrics(tmp_path / "run")


@pytest.mark.slow
def test_all_processes_refuse_an_unknown_tracker(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  words = [
    *("train", "--config", str(tmp_path / "recipe.py")),
    *("--workdir", str(tmp_path / "run"), "--config.log.trackers=wandbb"),
  ]
  output = tmp_path / "output.txt"
  both = spawned.start_group([words, words], output=output)
  assert [each.wait() for each in both] == [2, 2]
  for number in range(2):
    text = output.with_name(f"output_{number}.txt").read_text()
    assert "did you mean 'wandb'" in text
