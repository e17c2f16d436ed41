"""What the loop trains: a stack of runs that take their steps together.

The runs are the members of the stack; a place is the position of a member in
it. A single run is a stack of one, and its arrays have no axis of members.
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
    final: state -> list of the evaluations that the results of the runs have,
      None without a split to evaluate.
    not_finite: state -> list of the paths of leaves that are not finite.
    split: state -> list of the states, each as that of a single run.
    places: how many there are.
    keep: (state, places) -> (program, state) of the members at these places.
      None: a single run is never divided.
    warm_up: takes the state after the first call of this start, while little
      is unsaved: compiles what `measure` needs.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
  """One run of the stack.

  Attributes:
    record: from `empty_record` or from a checkpoint; the loop updates it.
    schedule: step -> learning rate.
    write: (step, values), to disk.
    save: (step, state, record, score=None), a checkpoint; it does not wait. Of
      the scores the largest is the best.
    wait: returns when all checkpoints are on disk.
    add_score: (step, score), of a checkpoint that was saved without a score.
    show: (step, values), to the screen.
    check_first: takes the loss of the first step.
    best: the metric that selects the best checkpoint, and 1 where larger is
      better or -1 where smaller is; None for none.
    began: when the run was started first, seconds of `time.time`; None leaves
      out the goodput.
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
  """What is the same for all members.

  Attributes:
    steps: the durations.
    batch_size: examples in a step of one member.
    num_examples: examples in an epoch.
    peak: images per second that the devices could compute; None is unknown.
    watch: receives each evaluation, and may stop members early.
    save_seconds: the least time between two saves; a preemption and the end
      do not wait for it. Unless it is 0, a new best is not saved either.
  """

  steps: durations.Durations
  batch_size: int
  num_examples: int
  peak: float | None = None
  watch: Watch = lambda told: {}
  save_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Stack:
  """Members that have taken the same number of steps.

  Attributes:
    program: of the members that have a place.
    state: of these members.
    members: by place, without those that have left the loop.
    left: why the others left the loop before the last step.
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
  """What a checkpoint contains beside the state, before the first step.

  step: of the state; seconds: in the loop, over all restarts; spent: seconds by
  `timing.KINDS`; window: the sums since the last line of the log, so that a
  resumed run writes the same lines; best: the best evaluation until now;
  unevaluated: whether the evaluation that is due after this step is missing.
  """
  return {
    "step": 0,
    "seconds": 0.0,
    "spent": dict.fromkeys(timing.KINDS, 0.0),
    "window": {},
    "best": None,
    "unevaluated": False,
  }
