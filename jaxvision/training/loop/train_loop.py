"""The only loop: step, log, evaluate, save, stop.

The loop counts steps. The data position, the order of the examples and all
randomness are functions of the step. Therefore a run that is killed at any
moment and resumed ends with the same parameters, bit for bit, as a run without
interruption.

The loop trains one run or a stack of runs, see `jaxvision.training.loop.stack`.

The host does not wait for the step that it has dispatched last. It reads the
sums of step n after it has dispatched step n + 1. Only evaluations and
checkpoints wait.
"""

import contextlib
import dataclasses
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxvision.processes import preemption
from jaxvision.training.loop import ending, evaluation, reading, timing
from jaxvision.training.loop.ending import Diverged, Ended, NoGain, Preempted
from jaxvision.training.loop.stack import (
  Member,
  Program,
  Settings,
  Stack,
  empty_record,
  records,
  without,
)

__all__ = [
  "Diverged",
  "Ended",
  "Member",
  "NoGain",
  "Preempted",
  "Program",
  "Settings",
  "Stack",
  "empty_record",
  "run_loop",
]

Tree = Any

# The stack is rebuilt when at most this share of its members remains. A rebuild
# costs a compilation. A member that has left costs its share of each step.
_FULL = 0.75


def run_loop(
  program: Program,
  state: Tree,
  *,
  members: Sequence[Member],
  settings: Settings,
  should_stop: preemption.Stopping,
) -> Stack:
  """Trains from the step of the state to the last step.

  Args:
    program: of the members.
    state: fresh or restored; it is donated.
    members: of the stack, by place. Their records are of the same step.
    settings: of the loop.
    should_stop: () -> whether the process is preempted.

  Returns:
    The stack at the end. Its members have taken all steps, and their states are
    saved. `left` contains the reasons why the others left the loop:
      Preempted: the state is saved.
      Diverged: the loss or the state is not finite. Such a state is neither
        evaluated nor saved. The checkpoints before it are kept.
      Ended: `settings.watch` stopped it early.
      NoGain: its patience is at its end. The state is saved, and
        `settings.finish` has received it.

  Raises:
    checkpoint.CheckpointError: a state could not be saved.
  """
  stack = Stack(program, state, dict(enumerate(members)), left={})
  step = first = saved = members[0].record["step"]
  clock = timing.start_clock(first)
  if should_stop():
    return _preempted(stack, f"stopped without a new step, at step {first}")
  if _is_unevaluated(stack):
    stack = _evaluate_late(stack, settings, clock)
  stack = _without_gain(stack, settings)
  if not stack.members:
    return stack
  unread, is_warm = None, False
  for step, batch in _feed(stack, clock, should_stop):
    stack, sums = _step(stack, batch)
    if unread:
      stack = reading.read(stack, settings, *unread, clock)
      if not stack.members:
        return stack
    unread = (step, sums)
    if not is_warm:
      _warm_up(stack, clock)
      is_warm = True
    last = step == settings.steps.total
    evaluates = last or step % settings.steps.evaluate == 0
    saves = last or _is_save_due(settings, step, clock)
    if not (evaluates or saves):
      continue
    stack, paused = _check(stack, settings, *unread, clock), time.monotonic()
    unread, scores = None, {}
    if stack.members:
      timing.spend("steps", clock, records(stack))
      if evaluates:
        stack = _refreshed(stack, step)
      if evaluates and stack.members:
        stack, scores = evaluation.evaluate(stack, settings, clock)
    if not stack.members:
      return stack
    # A preemption may arrive during the evaluation.
    stops = _is_unevaluated(stack) or (should_stop() and not last)
    if saves or stops or scores:
      _save(stack, step, scores)
      saved, clock["saved"] = step, time.monotonic()
    if stops:
      _wait(stack)
    clock["saving"] += timing.spend("saving", clock, records(stack))
    if stops:
      return _preempted(stack, f"stopped and saved at step {step}")
    if not last:
      stack = _without_gain(stack, settings)
      if not stack.members:
        return stack
      stack = _keep(stack)
    timing.skip(time.monotonic() - paused, clock)
  if step == settings.steps.total:
    return stack
  if unread:
    stack = _check(stack, settings, *unread, clock)
    if not stack.members:
      return stack
  timing.spend("steps", clock, records(stack))
  if step != saved:
    _save(stack, step, {})
  _wait(stack)
  where = "without a new step," if step == first else "and saved"
  return _preempted(stack, f"stopped {where} at step {step}")


def _feed(
  stack: Stack, clock: timing.Clock, should_stop: preemption.Stopping
) -> Iterator[tuple[int, Tree]]:
  """Batches until the end or a preemption.

  A preemption also ends the wait for a batch.
  """
  with contextlib.suppress(preemption.Stopped):
    yield from preemption.until_stopped(
      timing.timed(stack.program.feed(clock["step"]), clock),
      should_stop,
      signals=[signal.SIGTERM, signal.SIGINT],
    )


def _step(stack: Stack, batch: Tree) -> tuple[Stack, Mapping[str, Any]]:
  state, sums = stack.program.step(stack.state, batch)
  return dataclasses.replace(stack, state=state), sums


def _is_unevaluated(stack: Stack) -> bool:
  return any(record["unevaluated"] for record in records(stack))


def _is_save_due(settings: Settings, step: int, clock: timing.Clock) -> bool:
  if step % settings.steps.checkpoint:
    return False
  return time.monotonic() - clock["saved"] >= settings.save_seconds


def _evaluate_late(
  stack: Stack, settings: Settings, clock: timing.Clock
) -> Stack:
  """Repeats the evaluation of the state that a preemption interrupted."""
  paused = time.monotonic()
  stack, scores = evaluation.evaluate(stack, settings, clock)
  if _is_unevaluated(stack):
    step = records(stack)[0]["step"]
    return _preempted(stack, f"stopped without a new step, at step {step}")
  for member, score in scores.items():
    member.add_score(member.record["step"], score)
  timing.skip(time.monotonic() - paused, clock)
  return stack


def _warm_up(stack: Stack, clock: timing.Clock) -> None:
  """Compiles the evaluations. This time counts as "starting", not "steps"."""
  timing.spend("steps", clock, records(stack))
  with contextlib.suppress(preemption.Stopped):  # the loop checks it again
    stack.program.warm_up(stack.state)
  timing.skip(timing.spend("starting", clock, records(stack)), clock)


def _check(
  stack: Stack,
  settings: Settings,
  step: int,
  sums: Mapping[str, Any],
  clock: timing.Clock,
) -> Stack:
  """Reads the last call and returns the stack without diverged members."""
  stack = reading.read(stack, settings, step, sums, clock)
  return _finite(stack, step)


def _refreshed(stack: Stack, step: int) -> Stack:
  """The stack with the state for an evaluation, without diverged members."""
  state = stack.program.refresh(stack.state)
  if state is stack.state:
    return stack
  return _finite(dataclasses.replace(stack, state=state), step)


def _finite(stack: Stack, step: int) -> Stack:
  """The stack without the members whose state is not finite."""
  if not stack.members:
    return stack
  paths = stack.program.not_finite(stack.state)
  errors = {
    member: ending.diverged_state(paths[place], step)
    for place, member in stack.members.items()
  }
  return without(stack, {k: error for k, error in errors.items() if error})


def _save(stack: Stack, step: int, scores: Mapping[Member, float]) -> None:
  """Starts a checkpoint of each member."""
  states = stack.program.split(stack.state)
  for place, member in stack.members.items():
    score = scores.get(member)
    member.save(step, states[place], member.record, score=score)


def _without_gain(stack: Stack, settings: Settings) -> Stack:
  """The stack without the members whose patience is at its end."""
  ended = {
    place: member
    for place, member in stack.members.items()
    if 0 < settings.patience <= member.record["waited"]
  }
  if not ended:
    return stack
  leaving = dataclasses.replace(stack, members=ended)
  _save(leaving, records(leaving)[0]["step"], {})
  _wait(leaving)
  settings.finish(leaving)
  return without(stack, {m: ending.no_gain(m.record) for m in ended.values()})


def _wait(stack: Stack) -> None:
  for member in stack.members.values():
    member.wait()


def _keep(stack: Stack) -> Stack:
  """The stack, rebuilt if many members have left it."""
  places = list(stack.members)
  if len(places) > _FULL * stack.program.places:
    return stack
  program, state = stack.program.keep(stack.state, places)
  members = dict(enumerate(stack.members.values()))
  return dataclasses.replace(
    stack, program=program, state=state, members=members
  )


def _preempted(stack: Stack, text: str) -> Stack:
  """The stack after all members have left it with `Preempted`."""
  error = Preempted(text)
  return without(stack, dict.fromkeys(stack.members.values(), error))
