"""A stack of runs that take their steps together: the input of the loop.

The runs are the members of the stack. A place is the position of a member in
the stack. A single run is a stack of one member, and its arrays have no axis of
members.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxvision.config import durations
from jaxvision.metrics import Evaluation
from jaxvision.training.loop import timing

Tree = Any
Values = Mapping[str, float]
Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Program:
  """The computations of all members together.

  The lists have one element for each place.

  Attributes:
    step: (state, batch) -> (state, sums); each sum is (steps of the call,) or
      (steps of the call, members).
    feed: first step -> iterator of (step after the batch, batch). The programs
      that `keep` returns take the same batches.
    measure: state -> list of {split: {metric: value}}; a split has a name such
      as "validation_ema". It may raise `preemption.Stopped`.
    final: state -> list of the evaluations for the results of the runs; None
      without a split to evaluate.
    not_finite: state -> list of the paths of leaves that are not finite.
    split: state -> list of the states, each in the form of a single run.
    places: the number of places.
    keep: (state, places) -> (program, state) of the members at these places;
      None for a single run, which is never divided.
    warm_up: (state) compiles the programs of `measure`. The loop calls it once
      after the first call of the step, when little progress is unsaved.
    refresh: state -> the state for an evaluation. The training goes on from it,
      and it is saved.
  """

  step: Callable[[Tree, Tree], tuple[Tree, Mapping[str, Any]]]
  feed: Callable[[int], Iterator[tuple[int, Tree]]]
  measure: Callable[[Tree], Sequence[Mapping[str, Values]]]
  final: Callable[[Tree], Sequence[Evaluation | None]]
  not_finite: Callable[[Tree], Sequence[Sequence[str]]]
  split: Callable[[Tree], Sequence[Tree]] = lambda state: [state]
  places: int = 1
  keep: Callable[[Tree, Sequence[int]], tuple["Program", Tree]] | None = None
  warm_up: Callable[[Tree], None] = lambda state: None
  refresh: Callable[[Tree], Tree] = lambda state: state


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
  """One run of the stack.

  Attributes:
    record: from `empty_record` or from a checkpoint; the loop updates it.
    schedule: step -> learning rate.
    write: (step, values) writes a line to disk.
    save: (step, state, record, score=None) starts a checkpoint and does not
      wait for it. The largest score is the best.
    wait: returns when all checkpoints are on disk.
    add_score: (step, score) adds the score of a checkpoint without one.
    show: (step, values) shows a line on the screen.
    check_first: (loss) checks the loss of the first step.
    best: the metric that selects the best checkpoint, and 1 where larger is
      better or -1 where smaller is better; None without one.
    began: the first start of the run, in seconds of `time.time`; None if
      unknown: the goodput is then not logged.
  """

  record: Record
  schedule: Callable[[int], Any]
  write: Callable[[int, Values], None]
  save: Callable[..., None]
  wait: Callable[[], None]
  add_score: Callable[[int, float], None] = lambda step, score: None
  show: Callable[[int, Values], None] = lambda step, values: None
  check_first: Callable[[float], None] = lambda loss: None
  best: tuple[str, int] | None = None
  began: float | None = None


# {member: (step, steps in all, values of an evaluation)} -> {member: the reason
# to stop it early}.
Watch = Callable[
  [Mapping[Member, tuple[int, int, Values]]], Mapping[Member, str]
]


@dataclasses.dataclass(frozen=True)
class Settings:
  """The settings that all members share.

  Attributes:
    steps: the durations.
    batch_size: examples in a step of one member.
    num_examples: examples in an epoch.
    peak: peak images per second of the devices; None if unknown.
    effort: (step, last step) -> mean FLOPs of the steps after `step`, relative
      to those of a step with images of the full size.
    watch: receives each evaluation, and may stop members early.
    save_seconds: minimum time between two saves, in seconds. A preemption and
      the last step are always saved. If it is not 0, a new best is not saved.
    patience: number of evaluations without a better one that end a member;
      with 0, only the last step ends it.
    finish: receives the members that patience ends. Their states are saved.
  """

  steps: durations.Durations
  batch_size: int
  num_examples: int
  peak: float | None = None
  effort: Callable[[int, int], float] = lambda step, last: 1.0
  watch: Watch = lambda evaluations: {}
  save_seconds: float = 0.0
  patience: int = 0
  finish: Callable[["Stack"], None] = lambda stack: None


@dataclasses.dataclass(frozen=True)
class Stack:
  """The members that have taken the same number of steps, and their state.

  Attributes:
    program: of all places.
    state: of all places.
    members: by place, without the members that have left the loop.
    left: the reasons why members left the loop before the last step.
  """

  program: Program
  state: Tree
  members: Mapping[int, Member]
  left: Mapping[Member, Exception]


def records(stack: Stack) -> list[Record]:
  """The records of the members."""
  return [member.record for member in stack.members.values()]


def without(stack: Stack, left: Mapping[Member, Exception]) -> Stack:
  """The stack after some members have left the loop."""
  if not left:
    return stack
  members = {
    place: member
    for place, member in stack.members.items()
    if member not in left
  }
  return dataclasses.replace(
    stack, members=members, left={**stack.left, **left}
  )


def empty_record() -> Record:
  """The record of a run before its first step.

  A checkpoint contains the record beside the state. Its keys:

    step: of the state.
    seconds: in the loop, over all restarts.
    spent: seconds by `timing.KINDS`.
    window: the sums since the last line of the log. With them, a resumed run
      writes the same lines.
    best: the best evaluation so far.
    waited: the number of evaluations since a better one.
    unevaluated: whether the evaluation that is due after this step is missing.
  """
  return {
    "step": 0,
    "seconds": 0.0,
    "spent": dict.fromkeys(timing.KINDS, 0.0),
    "window": {},
    "best": None,
    "waited": 0,
    "unevaluated": False,
  }
