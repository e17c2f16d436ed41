"""Tests of jaxvision.training.loop.train_loop, without computation in steps.

The sums of a step are of the type `Measured`, which records its reads. So the
order in which the loop sends, reads, evaluates and saves can be compared.
"""

import contextlib
import copy
import time

import numpy as np
import pytest

from jaxvision.config import durations
from jaxvision.processes import preemption
from jaxvision.training.loop import train_loop

TIMING = {
  "images_per_second",
  "seconds",
  "step_seconds_p50",
  "step_seconds_p95",
  "data_wait",
  "saving_seconds",
}


class Measured:
  """An array that is still being computed until it is read."""

  def __init__(self, values, note):
    self.values, self.note = values, note

  def __array__(self, *_, **__):
    self.note()
    return np.asarray(self.values, np.float32)


class World:
  """A run that records all events in order."""

  def __init__(self, *, total=6, block=1, every=None, **options):
    self.events, self.lines, self.saves = [], [], []
    self.block, self.total = block, total
    self.losses = options.pop("losses", lambda step: 10.0 * step)
    self.norms = options.pop("norms", lambda step: float(step))
    self.scores = options.pop("scores", None)
    self.stop_when = options.pop("stop_when", lambda world: False)
    self.leaves = False
    self.steps = durations.Durations(
      **{
        "total": total,
        "warmup": 0,
        "evaluate": total,
        "checkpoint": total,
        "log": 1,
        **(every or {}),
      }
    )
    self.sums = options.pop("sums", {})
    self.broken = options.pop("broken", lambda state: [])
    self.program = train_loop.Program(
      step=self._step,
      feed=self._feed,
      measure=self._measure,
      final=lambda state: [None],
      not_finite=lambda state: [self.broken(state)],
      warm_up=options.pop("warm_up", lambda state: None),
    )
    self.settings = train_loop.Settings(
      steps=self.steps,
      batch_size=10,
      num_examples=30,
      watch=options.pop("watch", lambda told: {}),
      patience=options.pop("patience", 0),
      finish=lambda stack: self._note("finish", stack.state),
    )
    self.began = options.pop("began", None)
    self.best = options.pop("best", ("validation/top1", 1))
    self.save_seconds = options.pop("seconds", lambda: None)
    assert not options

  def loop(self, record=None):
    """Returns the final state; raises the error that ended the run."""
    self.record = train_loop.empty_record() if record is None else record
    member = train_loop.Member(
      record=self.record,
      schedule=lambda step: 0.5 / (1 + step),
      write=self._write,
      save=self._save,
      wait=lambda: self._note("wait", 0),
      add_score=lambda step, score: self._note("score", score),
      check_first=lambda loss: self.events.append(("first", loss)),
      best=self.best if self.scores else None,
      began=self.began,
    )
    stack = train_loop.run_loop(
      self.program,
      self.record["step"],
      members=[member],
      settings=self.settings,
      should_stop=lambda: self.stop_when(self),
    )
    for error in stack.left.values():
      raise error
    assert stack.members == {0: member}
    return stack.state

  def of(self, *kinds):
    return [event for event in self.events if event[0] in kinds]

  def _note(self, kind, step):
    self.events.append((kind, step))

  def _feed(self, first):
    for step in range(first, self.total, self.block):
      yield step + self.block, step

  def _step(self, state, first):
    steps = range(first + 1, first + self.block + 1)
    self._note("send", steps[-1])
    columns = {
      "loss": [self.losses(step) for step in steps],
      "top1": [5] * self.block,
      "count": [10] * self.block,
      "gradient_norm": [self.norms(step) for step in steps],
    }
    sums = {name: Measured(v, lambda: None) for name, v in columns.items()}
    sums |= self.sums
    sums["loss"].note = lambda: self._note("read", steps[-1])
    return state + self.block, sums

  def _measure(self, state):
    if not self.scores:
      return [{}]
    if self.leaves:
      raise preemption.Stopped
    self._note("evaluate", state)
    score = self.scores[state - 1]
    return [{"validation": {"top1": score, "loss": 1.0}}]

  def _write(self, step, values):
    self._note("write", step)
    self.lines.append({"step": step, **values})

  def _save(self, step, state, record, *, score=None):
    self.save_seconds()
    self._note("save", step)
    assert state == step
    self.saves.append((step, score, copy.deepcopy(record)))


def _plain(lines):
  return [{k: v for k, v in x.items() if k not in TIMING} for x in lines]


def test_a_step_is_read_after_the_next_one_was_sent():
  world = World(total=4)
  assert world.loop() == 4
  assert world.of("send", "read", "save") == [
    *(("send", 1), ("send", 2), ("read", 1)),
    *(("send", 3), ("read", 2), ("send", 4), ("read", 3)),
    *(("read", 4), ("save", 4)),
  ]


def test_the_loss_of_the_first_step_is_checked_once():
  world = World(total=4, block=2)
  world.loop()
  assert world.of("first") == [("first", 1.0)]


@pytest.mark.parametrize("block", [1, 2])
def test_lines_are_means_over_the_steps_since_the_last(block):
  world = World(total=4, block=block, every={"log": 2})
  world.loop()
  assert _plain(world.lines) == [
    {
      "step": step,
      "train/loss": 10.0 * (step - 0.5) / 10,
      "train/top1": 0.5,
      "learning_rate": 0.5 / step,
      "gradient_norm": step - 0.5,
      "epoch": step / 3,
    }
    for step in (2, 4)
  ]


@pytest.mark.parametrize("log", [1, 2, 3, 4, 5])
def test_steps_of_one_call_have_lines_of_their_own(log):
  """Their speed is that of the call, and is in its last line."""
  world = World(total=8, block=4, every={"log": log})
  world.loop()
  steps = [step for step in range(1, 9) if step % log == 0 or step == 8]
  assert [line["step"] for line in world.lines] == steps
  for line in world.lines:
    assert line["learning_rate"] == 0.5 / line["step"]
  calls = [[s for s in steps if s <= 4], [s for s in steps if s > 4]]
  with_speeds = [x["step"] for x in world.lines if "images_per_second" in x]
  assert with_speeds == [call[-1] for call in calls if call]


def test_the_last_steps_are_written_although_the_window_is_not_full():
  world = World(total=5, every={"log": 2})
  world.loop()
  assert [line["step"] for line in world.lines] == [2, 4, 5]
  assert world.lines[-1]["train/loss"] == 5.0


def test_masked_batches_do_not_divide_by_zero():
  zero = Measured([0], lambda: None)
  world = World(total=1, sums={"count": zero, "loss": zero, "top1": zero})
  world.loop()
  assert world.lines[0]["train/loss"] == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["losses", "norms"])
@pytest.mark.parametrize("block", [1, 3])
def test_a_loss_that_is_not_finite_stops_the_run(bad, what, block):
  world = World(
    total=12,
    block=block,
    every={"checkpoint": 3},
    **{what: lambda step: bad if step == 5 else 1.0},
  )
  with pytest.raises(train_loop.Diverged, match=f"step 5: .*{bad}"):
    world.loop()
  assert [step for step, _, _ in world.saves] == [3]
  assert max(line["step"] for line in world.lines) == 4


def test_a_loss_that_is_not_finite_is_found_before_the_save():
  world = World(losses=lambda step: np.nan, every={"checkpoint": 1})
  with pytest.raises(train_loop.Diverged, match="step 1"):
    world.loop()
  assert world.saves == []


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("stops", [False, True])
def test_a_state_that_is_not_finite_is_neither_evaluated_nor_saved(last, stops):
  """Every loss is finite: the last update makes the NaN, or no loss uses it."""
  bad = 6 if last else 4
  world = World(
    scores=[0.5] * 6,
    every={"evaluate": 2, "checkpoint": 2},
    stop_when=lambda world: stops and ("send", bad) in world.events,
    broken=lambda state: ["params/fc/kernel", "ema/a"] if state >= bad else [],
  )
  message = f"step {bad}: the update produced NaN or infinity in params/fc/ker"
  with pytest.raises(train_loop.Diverged, match=message) as error:
    world.loop()
  assert error.value.good == bad - 1
  assert [step for step, _, _ in world.saves] == list(range(2, bad, 2))
  assert [step for _, step in world.of("evaluate")] == list(range(2, bad, 2))


@pytest.mark.parametrize(
  ("what", "good"), [({"losses": 5}, 3), ({"norms": 5}, 4)]
)
def test_divergence_names_the_good_checkpoints(what, good):
  """A loss that is not finite belongs to the state before the step."""
  (name, at), *_ = what.items()
  bad = {name: lambda step: np.nan if step == at else 1.0}
  world = World(**bad)
  with pytest.raises(train_loop.Diverged) as error:
    world.loop()
  assert error.value.good == good


def test_an_overflowing_evaluation_gives_a_warning_and_is_never_the_best(
  caplog,
):
  """Running averages may be inexact at the start, so the run continues."""
  world = World(total=3, scores=[np.nan, 0.2, np.nan], every={"evaluate": 1})
  world.loop()
  assert "step 1: validation/top1 is not finite" in caplog.text
  assert [(step, score) for step, score, _ in world.saves] == [
    *((2, 0.2), (3, None)),
  ]


def _patient_end(scores, patience):
  """The evaluation that ends a run; the last one if none does."""
  for end in range(patience + 1, len(scores)):
    if max(scores[end - patience : end]) <= max(scores[: end - patience]):
      return end
  return len(scores)


@pytest.mark.parametrize("patience", [1, 2, 3, 20])
@pytest.mark.parametrize("seed", range(4))
def test_patience_ends_a_run_also_if_it_is_resumed(patience, seed):
  """The best checkpoint and the last one are saved; ties do not count."""
  scores = (np.random.default_rng(seed).integers(0, 9, 20) / 10).tolist()
  end = _patient_end(scores, patience)

  def new(stop_when):
    return World(
      total=20,
      scores=scores,
      every={"evaluate": 1},
      patience=patience,
      stop_when=stop_when,
    )

  for stop in range(1, end + 1):
    first = new(lambda world, stop=stop: ("send", stop) in world.events)
    with contextlib.suppress(train_loop.Preempted, train_loop.NoGain):
      first.loop()
    world = new(lambda world: False)
    if end == 20:
      assert world.loop(first.saves[-1][2]) == 20
      assert not world.of("finish")
      continue
    with pytest.raises(train_loop.NoGain, match=f"in {patience} evaluations"):
      world.loop(first.saves[-1][2])
    assert world.record["step"] == end
    assert world.of("finish") == [("finish", end)]
    assert end in [step for step, _, _ in first.saves + world.saves]


def test_evaluations_that_are_not_finite_do_not_improve():
  world = World(
    scores=[np.nan, 0.2, np.nan, np.nan, 0.9, 0.9],
    every={"evaluate": 1},
    patience=2,
  )
  with pytest.raises(train_loop.NoGain, match=r"best is 0\.2$"):
    world.loop()
  assert world.record["step"] == 4


def test_a_stop_request_saves_waits_and_reports():
  world = World(stop_when=lambda world: ("send", 2) in world.events)
  with pytest.raises(train_loop.Preempted, match="saved at step 2"):
    world.loop()
  assert world.of("send", "read", "save", "wait")[-4:] == [
    *(("read", 1), ("read", 2), ("save", 2), ("wait", 0)),
  ]


def test_asked_to_stop_at_the_last_step_it_ends():
  world = World(total=3, stop_when=lambda world: ("send", 3) in world.events)
  assert world.loop() == 3
  assert [step for step, _, _ in world.saves] == [3]


@pytest.mark.parametrize("question", range(1, 14))
def test_a_stop_request_saves_once_at_any_time(question):
  """The stop request may become true between any two checks of the loop."""
  asked = []

  def stop_when(world):
    asked.append(len(asked) + 1)
    return asked[-1] >= question

  world = World(
    stop_when=stop_when,
    scores=[0.9, 0.1, 0.1, 0.1, 0.1, 0.1],
    every={"evaluate": 1},
  )
  try:
    state = world.loop()
  except train_loop.Preempted as stop:
    state = int(str(stop).split()[-1])
  saved = [step for step, _, _ in world.saves]
  assert [0, *saved][-1] == state
  assert len(set(saved)) == len(saved)


@pytest.mark.parametrize("first", [0, 2])
def test_evaluations_are_compiled_after_the_first_step_of_a_start(first):
  world = World(total=6, warm_up=lambda state: world._note("warm", state))
  world.loop(train_loop.empty_record() | {"step": first})
  assert world.of("send", "warm")[:3] == [
    *(("send", first + 1), ("warm", first + 1), ("send", first + 2)),
  ]
  assert len(world.of("warm")) == 1


def test_compilation_counts_as_starting_time():
  world = World(total=2, warm_up=lambda state: time.sleep(0.5))
  world.loop()
  assert world.record["spent"]["starting"] >= 0.5
  assert world.record["spent"]["steps"] < 0.25
  assert world.lines[0]["step_seconds_p95"] < 0.25
  assert all(line["images_per_second"] > 10 / 0.25 for line in world.lines)


def test_told_to_stop_while_compiling_it_saves_the_first_step():
  def warm_up(state):
    world.asked = True
    raise preemption.Stopped

  world = World(warm_up=warm_up, stop_when=lambda world: world.asked)
  world.asked = False
  with pytest.raises(train_loop.Preempted, match="saved at step 1"):
    world.loop()
  assert [step for step, _, _ in world.saves] == [1]


def test_it_evaluates_when_due_and_at_the_end():
  world = World(total=5, scores=[0.5] * 5, every={"evaluate": 2, "log": 5})
  world.loop()
  assert world.of("evaluate") == [("evaluate", s) for s in (2, 4, 5)]
  measured = [line for line in world.lines if "validation/top1" in line]
  assert measured == [
    {"step": step, "validation/top1": 0.5, "validation/loss": 1.0}
    for step in (2, 4, 5)
  ]


def test_of_equal_scores_the_last_is_the_best():
  world = World(
    total=4,
    scores=[0.5, 0.7, 0.7, 0.6],
    every={"evaluate": 1, "checkpoint": 1},
  )
  world.loop()
  assert [(s, score) for s, score, _ in world.saves] == [
    *((1, 0.5), (2, 0.7), (3, 0.7), (4, None)),
  ]
  best = {"step": 3, "metric": "validation/top1", "value": 0.7}
  assert world.saves[-1][2]["best"] == best


def test_a_new_best_is_saved_though_no_save_is_due():
  world = World(total=4, scores=[0.5, 0.4, 0.6, 0.1], every={"evaluate": 1})
  world.loop()
  assert [(step, score) for step, score, _ in world.saves] == [
    *((1, 0.5), (3, 0.6), (4, None)),
  ]


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_a_resumed_run_writes_the_lines_of_one_that_was_not_stopped(stop):
  """Also if the stop is between two lines of the log."""
  options = {
    "scores": [0.1, 0.9, 0.2, 0.3, 0.9, 0.4],
    "every": {"log": 3, "evaluate": 2},
  }
  whole = World(**options)
  whole.loop()
  first = World(
    stop_when=lambda world: ("send", stop) in world.events,
    **options,
  )
  with pytest.raises(train_loop.Preempted):
    first.loop()
  record = first.saves[-1][2]
  second = World(**options)
  assert second.loop(record) == 6
  assert _plain(first.lines + second.lines) == _plain(whole.lines)
  assert second.saves[-1][2]["best"] == whole.saves[-1][2]["best"]
  assert second.of("send")[0] == ("send", stop + 1)


def test_the_time_of_a_resumed_run_continues():
  world = World(total=2)
  world.loop(train_loop.empty_record() | {"seconds": 100.0})
  assert all(100 <= line["seconds"] < 160 for line in world.lines)
  assert 100 <= world.saves[-1][2]["seconds"] < 160


def test_a_finished_run_does_nothing():
  world = World(total=4)
  record = train_loop.empty_record() | {"step": 4}
  assert world.loop(record) == 4
  assert world.events == []


def test_a_run_asked_to_stop_before_its_first_step_does_nothing():
  world = World(stop_when=lambda world: True)
  with pytest.raises(train_loop.Preempted, match="without a new step, at"):
    world.loop()
  assert world.events == []


@pytest.mark.parametrize("total", [4, 2])
@pytest.mark.parametrize("left", ["once", "twice"])
def test_an_interrupted_evaluation_is_repeated(total, left):
  """Also the last evaluation; the lines and the best step are the same."""
  options = {"scores": [0.5, 0.9, 0.2, 0.3], "every": {"evaluate": 2}}
  whole = World(total=total, **options)
  whole.loop()
  lines, record = [], None
  for _ in range(1 if left == "once" else 2):
    world = World(total=total, **options)
    world.leaves = True
    with pytest.raises(train_loop.Preempted, match="at step 2"):
      world.loop(record)
    lines += world.lines
    record = world.saves[-1][2] if world.saves else record
    assert record["step"] == 2 and record["unevaluated"]
  # The second time nothing has changed, so nothing is saved.
  assert bool(world.saves) == (left == "once")
  last = World(total=total, **options)
  assert last.loop(copy.deepcopy(record)) == total
  assert last.events[0] == ("evaluate", 2)
  assert last.of("score") == [("score", 0.9)]
  assert _plain(lines + last.lines) == _plain(whole.lines)
  assert not last.record["unevaluated"]
  assert last.record["best"] == whole.record["best"]


def test_all_time_has_a_use():
  world = World(total=4, scores=[0.5] * 4, every={"evaluate": 2})
  record = train_loop.empty_record()
  started = time.monotonic()
  world.loop(record)
  elapsed = time.monotonic() - started
  spent = record["spent"]
  assert spent["starting"] < 1e-3
  assert min(spent["steps"], spent["evaluating"], spent["saving"]) > 0
  assert sum(spent.values()) == pytest.approx(record["seconds"], abs=1e-3)
  assert sum(spent.values()) <= elapsed


def test_goodput_counts_from_the_first_start_on():
  world = World(total=2, began=time.time() - 1000)
  record = train_loop.empty_record() | {"seconds": 700.0}
  record["spent"] |= {"steps": 500.0, "starting": 200.0}
  world.loop(record)
  assert world.lines[-1]["goodput"] == pytest.approx(0.5, abs=0.01)


def test_checkpoint_seconds_per_step_are_logged(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])

  def save():
    now[0] += 3.0

  world = World(total=4, every={"log": 2, "checkpoint": 1}, seconds=save)
  world.loop()
  # The line of step 2 is written before its checkpoint.
  assert [line["saving_seconds"] for line in world.lines] == [1.5, 3.0]
