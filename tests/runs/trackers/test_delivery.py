"""Each line reaches a tracker once, and its failures stay with it."""

import json
import logging
import threading
import time

import pytest
import tracked_folders

from jaxvision.runs import trackers
from jaxvision.runs.trackers import delivery


def _received(seen):
  return [each for each in seen if isinstance(each[0], int)]


def _warnings(caplog):
  return [r.message for r in caplog.records if r.levelno >= logging.WARNING]


def _raising(kind, step=None):
  def failing(what, at):
    if what == kind and step in (None, at):
      raise ConnectionError("no\nserver")

  return failing


def test_all_lines_and_the_end_arrive_in_their_order(tmp_path):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made) as write:
    for step in range(1, 50):
      write(step, {"train/loss": 1 / step, "nan": float("inf")})
    write(49, {"validation/top1": 0.5})
  for (step, values), (there, known) in zip(
    _received(seen), tracked_folders.lines(tmp_path), strict=True
  ):
    assert step == there and values == pytest.approx(known, nan_ok=True)
  assert len(_received(seen)) == 50
  (_, run), (_, end) = seen[0], seen[-1]
  assert run.name == tmp_path.name and not run.sent and not run.group
  assert run.config == {"seed": 3, "optimizer.options.betas": [0.9, 0.99]}
  assert (end.state, end.status, end.step) == ("finished", "finished", 49)
  assert end.summary == {
    "final/test/top1": 0.5,
    "best/validation/top1": 0.75,
    "best/step": 4,
  }


def test_a_line_arrives_while_the_training_goes_on(tmp_path):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made) as write:
    for step in (1, 2, 3):
      write(step, {"loss": 1.0})
      _wait_until(lambda step=step: seen[-1:] == [(step, {"loss": 1.0})])


def test_the_run_is_opened_before_its_first_line(tmp_path):
  seen = []
  with tracked_folders.process(
    tmp_path, {"mine": tracked_folders.recorder(seen)}
  ):
    _wait_until(lambda: seen and seen[0][0] == "open")


def test_an_extension_that_could_not_be_opened_is_sent_later(tmp_path):
  """The earlier end of the run does not count as that of the extension."""
  seen = []
  with tracked_folders.process(
    tmp_path, {"mine": tracked_folders.recorder(seen)}
  ) as write:
    write(1, {"loss": 1.0})
  failing = tracked_folders.recorder([], failing=_raising("open"))
  with tracked_folders.process(
    tmp_path, {"mine": failing}, first_step=1
  ) as write:
    write(2, {"loss": 1.0})
  with trackers.tracked({tmp_path: {"mine": tracked_folders.recorder(seen)}}):
    pass
  assert _received(seen) == tracked_folders.lines(tmp_path)
  assert len(_received(seen)) == 2


@pytest.mark.parametrize("first_step", [0, 2, 3, 4, 6])
def test_steps_that_are_trained_again_are_sent_once(tmp_path, first_step):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  evaluated = (4, 8)

  def train(write, first, last, seconds):
    for step in range(first + 1, last + 1):
      write(step, {"train/loss": 1 / step, "seconds": seconds})
      if step in evaluated:
        write(step, {"validation/top1": step / 10})

  with tracked_folders.process(tmp_path, made, status="preempted: ") as write:
    train(write, 0, 6, seconds=1.0)
  with tracked_folders.process(tmp_path, made, first_step=first_step) as write:
    train(write, first_step, 9, seconds=2.0)
  received = _received(seen)
  keys = [(step, *values) for step, values in received]
  assert len(keys) == len(set(keys)) == 11
  assert [step for step, _ in received] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9]
  # What was sent first stays.
  assert [v["seconds"] for _, v in received if "seconds" in v] == [1.0] * 6 + [
    2.0
  ] * 3
  first, second = (each for kind, each in seen if kind == "open")
  assert first.id == second.id
  assert (first.sent, second.sent) == (0, 7)


def test_the_evaluation_that_a_preemption_interrupted_is_sent(tmp_path):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made, status="preempted: ") as write:
    write(4, {"train/loss": 1.0})
  with tracked_folders.process(tmp_path, made, first_step=4) as write:
    write(4, {"validation/top1": 0.5})
    write(8, {"train/loss": 0.5})
  assert _received(seen) == tracked_folders.lines(tmp_path)
  assert len(_received(seen)) == 3


def test_a_line_is_recorded_before_it_is_sent(tmp_path):
  """So a kill at any moment sends no line twice."""
  recorded = []

  def failing(kind, step):
    content = json.loads((tmp_path / "trackers.json").read_text())
    recorded.append((kind, step, content["mine"]["step"]))

  made = {"mine": tracked_folders.recorder([], failing=failing)}
  with tracked_folders.process(tmp_path, made) as write:
    write(2, {"loss": 1.0})
    _wait_until(lambda: ("log", 2, 2) in recorded)
    write(5, {"loss": 1.0})
  assert recorded == [
    ("open", 0, 0),
    ("log", 2, 2),
    ("log", 5, 5),
    ("finish", 5, 5),
  ]


@pytest.mark.parametrize("kind", ["open", "log", "finish"])
def test_a_tracker_that_raises_is_one_warning(tmp_path, caplog, kind):
  seen, other = [], []
  made = {
    "mine": tracked_folders.recorder(seen, failing=_raising(kind)),
    "other": tracked_folders.recorder(other),
  }
  with tracked_folders.process(tmp_path, made) as write:
    for step in (1, 2, 3):
      write(step, {"loss": 1.0})
  (warning,) = _warnings(caplog)
  assert "tracker mine" in warning and r"ConnectionError: no\nserver" in warning
  assert f"jaxvision train --workdir {tmp_path}" in warning
  assert _received(other) == tracked_folders.lines(tmp_path)
  # The next process sends what is missing, also if the run has finished.
  again = []
  with trackers.tracked({tmp_path: {"mine": tracked_folders.recorder(again)}}):
    pass
  expected = tracked_folders.lines(tmp_path)
  assert _received(again) == ([] if kind == "finish" else expected)
  assert again[-1][1].state == "finished"


def test_a_line_that_failed_is_sent_again(tmp_path):
  seen = []
  failing = _raising("log", step=2)
  made = {"mine": tracked_folders.recorder(seen, failing=failing)}
  with tracked_folders.process(tmp_path, made, status="preempted: ") as write:
    for step in (1, 2, 3):
      write(step, {"loss": 1.0})
  assert [step for step, _ in _received(seen)] == [1]
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made, first_step=3) as write:
    write(4, {"loss": 1.0})
  assert [step for step, _ in _received(seen)] == [1, 2, 3, 4]


def test_a_tracker_that_exits_ends_its_thread_only(tmp_path, caplog):
  def failing(kind, step):
    if kind == "log":
      raise SystemExit(1)

  made = {"mine": tracked_folders.recorder([], failing=failing)}
  with tracked_folders.process(tmp_path, made) as write:
    write(1, {"loss": 1.0})
  assert "SystemExit" in _warnings(caplog)[0]


@pytest.mark.parametrize("kind", ["open", "log", "finish"])
def test_a_tracker_that_hangs_is_left_behind(
  tmp_path, caplog, monkeypatch, kind
):
  monkeypatch.setattr(delivery, "_END_SECONDS", 0.2)
  hangs, released, seen = threading.Event(), threading.Event(), []

  def failing(what, step):
    if what == kind:
      hangs.set()
      released.wait()

  made = {"mine": tracked_folders.recorder(seen, failing=failing)}
  with tracked_folders.process(tmp_path, made) as write:
    for step in (1, 2, 3):
      write(step, {"loss": 1.0})
    assert kind == "finish" or hangs.wait(60)
    _wait_until(lambda: kind != "finish" or len(_received(seen)) == 3)
  (warning,) = _warnings(caplog)
  assert "tracker mine" in warning and "within 0 s" in warning
  before = (tmp_path / "trackers.json").read_bytes()
  released.set()
  (thread,) = [t for t in threading.enumerate() if t.name == "tracker mine"]
  thread.join(60)
  # It sends no further chunk, because a later process may send it.
  if kind != "log":
    assert len(_received(seen)) == {"open": 0, "finish": 3}[kind]
  assert (tmp_path / "trackers.json").read_bytes() == before
  assert len(_warnings(caplog)) == 1


def test_another_tracker_does_not_wait_for_one_that_hangs(tmp_path):
  released, seen = threading.Event(), []
  made = {
    "mine": tracked_folders.recorder([], failing=_waiting(released)),
    "other": tracked_folders.recorder(seen),
  }
  with tracked_folders.process(tmp_path, made) as write:
    for step in (1, 2, 3):
      write(step, {"loss": 1.0})
    _wait_until(lambda: len(_received(seen)) == 3)
    released.set()
  assert _received(seen) == tracked_folders.lines(tmp_path)


def _wait_until(condition):
  deadline = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.01)


def test_a_tracker_that_lags_receives_all_lines(tmp_path):
  """They are recorded in chunks; a failure in a chunk loses none of it."""
  seen, released = [], threading.Event()

  def failing(kind, step):
    if (kind, step) == ("log", 1):
      released.wait()
    if (kind, step) == ("log", 50) and len(_received(seen)) < 60:
      raise ConnectionError("no server")

  made = {"mine": tracked_folders.recorder(seen, failing=failing)}
  with tracked_folders.process(tmp_path, made, status="preempted: ") as write:
    for step in range(1, 71):
      write(step, {"loss": 1.0})
    released.set()
  assert [step for step, _ in _received(seen)] == list(range(1, 50))
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made, first_step=70) as write:
    write(71, {"loss": 1.0})
  assert _received(seen) == tracked_folders.lines(tmp_path)


def test_the_limit_is_shorter_after_a_preemption(tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(delivery, "_PREEMPTED_SECONDS", 0.2)
  released = threading.Event()
  made = {"mine": tracked_folders.recorder([], failing=_waiting(released))}
  with tracked_folders.process(tmp_path, made, status="preempted: ") as write:
    write(1, {"loss": 1.0})
  released.set()
  assert "did not end within 0 s" in _warnings(caplog)[0]


def _waiting(event):
  return lambda kind, step: event.wait() if kind == "log" else None


def test_a_finished_run_is_not_opened_again(tmp_path):
  made = {"mine": tracked_folders.recorder([])}
  with tracked_folders.process(tmp_path, made) as write:
    write(1, {"loss": 1.0})
  again = []
  with trackers.tracked({tmp_path: {"mine": tracked_folders.recorder(again)}}):
    pass
  assert again == []


def test_a_tracker_added_to_a_finished_run_receives_all(tmp_path):
  with tracked_folders.process(tmp_path, {}) as write:
    for step in (1, 2):
      write(step, {"loss": 1.0})
  seen = []
  with trackers.tracked({tmp_path: {"mine": tracked_folders.recorder(seen)}}):
    pass
  assert _received(seen) == tracked_folders.lines(tmp_path)
  assert seen[-1][1].state == "finished"


def test_an_unstarted_run_is_not_opened(tmp_path):
  tracked_folders.write_config(tmp_path)
  seen = []
  made = {tmp_path: {"mine": tracked_folders.recorder(seen)}}
  with pytest.raises(ValueError, match="no data"), trackers.tracked(made):
    raise ValueError("no data")
  assert seen == [] and not (tmp_path / "trackers.json").exists()


@pytest.mark.parametrize(
  ("status", "state"),
  [
    ("finished: no gain", "finished"),
    ("preempted: stopped and saved at step 3", "preempted"),
    ("ended early: not among the best", "ended early"),
    ("stopped at step 2: the loss is nan", "failed"),
  ],
)
def test_the_state_is_that_of_the_result(tmp_path, status, state):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made, status=status) as write:
    write(1, {"loss": 1.0})
  end = seen[-1][1]
  assert (end.state, end.status) == (state, status)


def test_an_error_of_the_process_is_the_status(tmp_path):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with (
    pytest.raises(RuntimeError),
    tracked_folders.process(tmp_path, made) as write,
  ):
    write(1, {"loss": 1.0})
    raise RuntimeError("out of\nmemory")
  end = seen[-1][1]
  assert (end.state, end.status) == (
    "failed",
    "failed: RuntimeError: out of memory",
  )
  assert _received(seen) == [(1, {"loss": 1.0})]


def test_a_damaged_ledger_is_kept(tmp_path, caplog):
  (tmp_path / "trackers.json").write_text('{"mine": {"id": 3}}')
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made) as write:
    write(1, {"loss": 1.0})
  assert seen == []
  assert "trackers.json is damaged" in _warnings(caplog)[0]
  assert (tmp_path / "trackers.json").read_text() == '{"mine": {"id": 3}}'


def test_the_runs_of_a_group_are_separate(tmp_path):
  """As the trials of a vectorised sweep: many runs in one block."""
  seen = {tmp_path / name: [] for name in "abc"}
  for folder in seen:
    tracked_folders.write_config(folder)
  made = {
    folder: {"x": tracked_folders.recorder(own), "y": lambda run: None}
    for folder, own in seen.items()
  }
  with trackers.tracked(made) as wake:
    for folder in seen:
      (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
      wake(folder)
    for folder in seen:
      tracked_folders.write_result(folder, "finished", 1)
  assert len({own[0][1].id for own in seen.values()}) == 3
  for folder, own in seen.items():
    assert own[0][1].name == folder.name
    assert _received(own) == [(1, {"loss": 1.0})]
    assert own[-1][1].state == "finished"


def test_the_page_of_the_report_is_named(tmp_path):
  seen = []
  made = {"mine": tracked_folders.recorder(seen)}
  with tracked_folders.process(tmp_path, made) as write:
    write(1, {"loss": 1.0})
    (tmp_path / "report.html").write_text("<p>")
  assert seen[-1][1].report == tmp_path / "report.html"
