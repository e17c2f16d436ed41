"""The loop on stacks of several runs, with steps without computation.

The state is a tuple of (name of a member, steps that it has taken), so a state
or a sum that reaches a wrong member is visible.
"""

import numpy as np
import pytest

from jaxvision.config import durations
from jaxvision.training.loop import train_loop

NAMES = "abcde"
# The speeds and times of a line, which differ from run to run.
TIMES = {
  *("images_per_second", "step_seconds_p50", "step_seconds_p95", "data_wait"),
  *("saving_seconds", "seconds"),
}


class World:
  """A stack whose members record their lines and checkpoints, by name."""

  def __init__(self, names=NAMES, *, total=6, every=None, **options):
    self.names, self.total = names, total
    self.value = options.pop("value", lambda name, step: float(step))
    self.score = options.pop("score", lambda name, step: 0.5)
    self.broken = options.pop("broken", lambda name, step: [])
    self.stop_when = options.pop("stop_when", lambda world: False)
    self.best = options.pop("best", None)
    self.settings = train_loop.Settings(
      steps=durations.Durations(
        **{
          "total": total,
          "warmup": 0,
          "evaluate": total,
          "checkpoint": total,
          "log": 1,
          **(every or {}),
        }
      ),
      batch_size=10,
      num_examples=30,
      watch=self._watch,
      save_seconds=options.pop("save_seconds", 0.0),
    )
    self.judge = options.pop("judge", lambda name, step: "")
    assert not options
    self.lines = {name: [] for name in names}
    self.saves = {name: [] for name in names}
    self.kept, self.evaluated, self.told = [], [], []

  def loop(self):
    self.members = {self._member(name): name for name in self.names}
    stack = train_loop.run_loop(
      self._program(self.names),
      tuple((name, 0) for name in self.names),
      members=list(self.members),
      settings=self.settings,
      should_stop=lambda: self.stop_when(self),
    )
    self.step = stack.state[0][1]
    self.left = {self.members[m]: error for m, error in stack.left.items()}
    self.stayed = {
      self.members[member]: stack.state[place]
      for place, member in stack.members.items()
    }
    return stack

  def _member(self, name):
    def save(step, state, record, *, score=None):
      assert state == (name, step)
      self.saves[name].append((step, score))

    return train_loop.Member(
      record=train_loop.empty_record(),
      schedule=lambda step: NAMES.index(name),
      write=lambda step, values: self.lines[name].append(
        {"step": step, **values}
      ),
      save=save,
      wait=lambda: None,
      best=self.best,
    )

  def _program(self, names):
    def step(state, steps):
      assert [name for name, _ in state] == list(names)
      values = [[self.value(n, s + 1) for n in names] for s in steps]
      count = [[10] * len(names)] * len(steps)
      sums = {"loss": values, "rows": values, "count": count}
      sums["gradient_norm"] = count
      state = tuple((name, taken + len(steps)) for name, taken in state)
      return state, {k: np.asarray(v) for k, v in sums.items()}

    def keep(state, places):
      self.kept.append((state[0][1], "".join(names[i] for i in places)))
      program = self._program([names[i] for i in places])
      return program, tuple(state[i] for i in places)

    def measure(state):
      self.evaluated.append("".join(name for name, _ in state))
      return [
        {"validation": {"top1": self.score(name, step)}} for name, step in state
      ]

    return train_loop.Program(
      step=step,
      feed=lambda first: (
        (step + 1, range(step, step + 1)) for step in range(first, self.total)
      ),
      measure=measure,
      final=lambda state: [None for _ in state],
      not_finite=lambda state: [self.broken(*each) for each in state],
      split=list,
      places=len(names),
      keep=keep,
    )

  def _watch(self, told):
    named = {self.members[member]: each for member, each in told.items()}
    self.told.append("".join(named))
    reasons = {
      member: self.judge(self.members[member], each[0])
      for member, each in told.items()
    }
    return {member: reason for member, reason in reasons.items() if reason}


def _plain(lines):
  return [{k: v for k, v in x.items() if k not in TIMES} for x in lines]


def test_each_member_has_its_own_lines():
  world = World(
    total=2, value=lambda name, step: 10.0 * step + NAMES.index(name)
  )
  world.loop()
  assert world.stayed == {name: (name, 2) for name in NAMES}
  for i, name in enumerate(NAMES):
    assert _plain(world.lines[name]) == [
      *(
        {
          "step": step,
          "train/loss": step + i / 10,
          "train/rows": step + i / 10,
          "gradient_norm": 10.0,
          "learning_rate": i,
          "epoch": step / 3,
          "runs_together": 5,
        }
        for step in (1, 2)
      ),
      {"step": 2, "validation/top1": 0.5},
    ]
    assert world.saves[name] == [(2, None)]


def test_a_member_that_diverges_leaves_alone():
  """Its place stays in the arrays and is no longer read."""
  world = World(value=lambda n, s: np.nan if n == "b" and s >= 3 else 1.0)
  world.loop()
  assert [line["step"] for line in world.lines["b"]] == [1, 2]
  assert isinstance(world.left["b"], train_loop.Diverged)
  assert world.left["b"].good == 1
  assert world.saves["b"] == []
  assert list(world.stayed) == list("acde")
  assert world.kept == []
  together = [x.get("runs_together") for x in world.lines["a"]]
  assert together == [5, 5, 4, 4, 4, 4, None]


@pytest.mark.parametrize("saves", [False, True])
def test_a_state_that_is_not_finite_is_not_saved(saves):
  world = World(
    every={"checkpoint": 2, "evaluate": 2 if not saves else 6},
    broken=lambda n, s: ["ema/kernel"] if n == "c" and s >= 4 else [],
  )
  world.loop()
  assert str(world.left["c"]) == (
    "step 4: the update produced NaN or infinity in ema/kernel"
  )
  assert [step for step, _ in world.saves["c"]] == [2]
  assert [step for step, _ in world.saves["d"]] == [2, 4, 6]


def test_the_stack_is_made_anew_when_a_quarter_has_left():
  """A state or a sum of a wrong place would fail the asserts of `World`."""
  at = {"a": 2, "b": 4, "d": 4}
  world = World(
    total=8,
    every={"evaluate": 2},
    judge=lambda name, step: "slow" if at.get(name) == step else "",
    value=lambda name, step: 10.0 * (step + NAMES.index(name)),
  )
  world.loop()
  assert world.kept == [(4, "ce")]
  assert world.evaluated == ["abcde", "abcde", "ce", "ce"]
  assert world.told == ["abcde", "bcde", "ce", "ce"]
  assert world.stayed == {"c": ("c", 8), "e": ("e", 8)}
  assert {
    name: str(error) for name, error in world.left.items()
  } == dict.fromkeys("abd", "slow")
  assert isinstance(world.left["a"], train_loop.Ended)
  losses = [x["train/loss"] for x in world.lines["e"] if "train/loss" in x]
  assert losses == [step + 4.0 for step in range(1, 9)]
  assert [line["step"] for line in world.lines["a"]] == [1, 2, 2]


def test_a_stack_that_all_have_left_takes_no_more_steps():
  world = World("ab", value=lambda n, s: np.inf if s == 1 + (n == "b") else 1.0)
  world.loop()
  assert set(world.left) == {"a", "b"}
  # The step after the last one that was read has been sent.
  assert world.step == 3 and world.evaluated == []


def test_a_stack_saves_rarely_and_at_its_end():
  world = World(
    "ab",
    every={"checkpoint": 1, "evaluate": 1},
    best=("validation/top1", 1),
    save_seconds=60.0,
  )
  stack = world.loop()
  assert world.saves == {"a": [(6, None)], "b": [(6, None)]}
  for member in stack.members.values():
    assert member.record["best"]["step"] == 6


def test_preempted_all_are_saved():
  world = World(
    "abc",
    save_seconds=60.0,
    every={"evaluate": 2},
    stop_when=lambda world: len(world.evaluated) > 1,
    judge=lambda name, step: "slow" if name == "b" else "",
  )
  world.loop()
  assert world.saves == {"a": [(4, None)], "b": [], "c": [(4, None)]}
  kinds = {name: type(error) for name, error in world.left.items()}
  assert kinds == {
    "a": train_loop.Preempted,
    "b": train_loop.Ended,
    "c": train_loop.Preempted,
  }
  assert str(world.left["a"]) == "stopped and saved at step 4"


@pytest.mark.parametrize(
  ("sign", "expected"),
  [
    (1, [(1, 0.5), (2, 0.7), (3, None), (4, None)]),
    (-1, [(1, -0.5), (2, None), (3, None), (4, -0.1)]),
  ],
)
def test_the_best_is_the_largest_or_the_smallest(sign, expected):
  scores = [0.5, 0.7, 0.6, 0.1]
  world = World(
    "a",
    total=4,
    every={"evaluate": 1, "checkpoint": 1},
    best=("validation/top1", sign),
    score=lambda name, step: scores[step - 1],
  )
  stack = world.loop()
  assert world.saves["a"] == expected
  best = {1: (2, 0.7), -1: (4, 0.1)}[sign]
  record = stack.members[0].record["best"]
  assert (record["step"], record["value"]) == best


def test_a_single_run_does_not_log_runs_together():
  world = World("a", total=2)
  world.loop()
  assert not any("runs_together" in line for line in world.lines["a"])
