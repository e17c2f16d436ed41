"""Trains many small runs at once, in programs that they share.

A step that takes a fraction of a millisecond leaves a machine idle: what it
costs is the call. Here one call takes a step of all. Runs that end early
leave the stack. What each measures, and its last checkpoint, lie in a folder
of its own, as if it had been alone: another process may go on with any of them
by itself. It does not keep its best checkpoint, and writes no report.
"""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import checkpoint
from jaxvision.checkpoint import fingerprint
from jaxvision.config import durations
from jaxvision.processes import preemption
from jaxvision.runs import metrics_log
from jaxvision.runs import workdir as workdirs
from jaxvision.sweeps.vectorized import stacked
from jaxvision.sweeps.vectorized.ending import (
  Ending,
  Runs,
  not_finite,
  overflowing,
)
from jaxvision.sweeps.vectorized.shared_programs import Trace
from jaxvision.training.loop import results, timing, train_loop
from jaxvision.training.setup import assembly

Tree = Any
Values = Mapping[str, float]
# {run: (step, steps in all, what was measured)} -> {run: why it shall end}.
Watch = Callable[[Mapping[int, tuple[int, int, Values]]], Mapping[int, str]]
Write = Callable[[int, int, Values], None]

# Seconds: runs that are shorter save at their end alone.
_SAVES_EVERY = 60.0
# A stack of which this share goes on, or less, is made anew without the others:
# that costs a compilation, and those who stay cost their share of each step.
_FULL = 0.75


@dataclasses.dataclass(frozen=True)
class Member:
  """A run among others.

  Attributes:
    parts, trace: of the run.
    folder: claimed for it.
    record: of its checkpoints.
  """

  parts: assembly.Parts
  trace: Trace
  folder: pathlib.Path
  record: dict[str, Any] = dataclasses.field(
    default_factory=train_loop.empty_record
  )


def train(
  members: Sequence[Member],
  *,
  watch: Watch,
  should_stop: preemption.Stopping,
) -> dict[int, Ending]:
  """Trains runs from their beginning to their ends.

  Args:
    members: runs with the same data and alike traces.
    watch: is told each evaluation of all, and may end some.
    should_stop: whether to save and stop.

  Returns:
    How each went, by its place among the members.

  Raises:
    train_loop.Preempted: it was asked to stop; all are saved.
  """
  steps = members[0].parts.steps
  block = members[0].parts.config.train.steps_per_dispatch
  runs, endings = dict(enumerate(range(len(members)))), {}
  clock = {"last": time.monotonic(), "saved": time.monotonic()}
  with _open_metrics(members) as write:
    stack, unread = _stack(members), None
    for step in range(block, steps.total + block, block):
      stack, sums = stacked.take_steps(stack, step - block, block)
      if unread:
        endings = _read(members, runs, *unread) | endings
      unread, stops = (step, sums), should_stop()
      if not (stops or _is_due(steps, step, block)):
        continue
      endings = _read(members, runs, *unread) | endings
      if stops or _is_kept(steps, step):
        endings = not_finite(stack, runs, step) | endings
      unread = None
      _spend("steps", members, runs, clock)
      runs = _going_on(members, runs, endings)
      if not runs:
        return endings
      if _is_line(steps, step, block):
        _log(members, runs, step, write)
      if step % steps.evaluate == 0 or step == steps.total:
        told = _evaluate(stack, members, runs, step, write)
        _spend("evaluating", members, runs, clock)
        endings |= _told(watch, told)
        runs = _going_on(members, runs, endings)
      if not runs:
        return endings
      if len(runs) <= _FULL * len(stack.parts):
        stack = stacked.only(stack, list(runs))
        runs = dict(enumerate(runs.values()))
      if step < steps.total and (
        stops or _saves(clock, step % steps.checkpoint == 0)
      ):
        _save(stack, members, runs, step)
        _spend("saving", members, runs, clock)
      if stops and step < steps.total:
        raise train_loop.Preempted(f"stopped and saved at step {step}")
  return endings | _finish(stack, members, runs, clock)


def _stack(members: Sequence[Member]) -> stacked.Stack:
  return stacked.begin(
    [member.parts for member in members],
    [member.trace for member in members],
  )


def _is_due(steps: durations.Durations, step: int, block: int) -> bool:
  return _is_kept(steps, step) or _is_line(steps, step, block)


def _is_line(steps: durations.Durations, step: int, block: int) -> bool:
  """Whether a line of the log is due within the call that ends here."""
  return step % steps.log < block or step == steps.total


def _is_kept(steps: durations.Durations, step: int) -> bool:
  """Whether a state is evaluated or saved."""
  return step == steps.total or any(
    step % every == 0 for every in (steps.evaluate, steps.checkpoint)
  )


def _saves(clock: dict[str, float], is_due: bool) -> bool:
  now = time.monotonic()
  if not is_due or now - clock["saved"] < _SAVES_EVERY:
    return False
  clock["saved"] = now
  return True


@contextlib.contextmanager
def _open_metrics(members: Sequence[Member]) -> Iterator[Write]:
  """Gives write(run, step, values), to metrics.jsonl of the run."""
  with contextlib.ExitStack() as files:
    writers = [
      files.enter_context(
        metrics_log.open_metrics(
          member.folder,
          first_step=0,
          tensorboard=False,
        )
      )
      for member in members
    ]
    yield lambda run, step, values: writers[run](step, values)


def _read(
  members: Sequence[Member], runs: Runs, last: int, sums: Tree
) -> dict[int, Ending]:
  """Adds up what the steps of a call measured; who is no number any more."""
  measured = {k: np.asarray(v, float) for k, v in jax.device_get(sums).items()}
  count = len(measured["loss"])
  finite = np.isfinite(measured["loss"] + measured["gradient_norm"])
  for place, run in runs.items():
    record = members[run].record
    record["step"] = last
    for name, values in (*measured.items(), ("steps", np.ones_like(finite))):
      window = record["window"]
      window[name] = window.get(name, 0) + values[:, place].sum().item()
  return {
    run: Ending(
      "diverged",
      f"step {last - count + 1 + finite[:, place].argmin()}: the loss or its "
      "gradient is no finite number",
    )
    for place, run in runs.items()
    if not finite[:, place].all()
  }


def _log(
  members: Sequence[Member], runs: Runs, step: int, write: Write
) -> None:
  for run in runs.values():
    parts, record = members[run].parts, members[run].record
    values = train_loop.window_means(record["window"]) | {
      "learning_rate": float(parts.schedule(step - 1)),
      "epoch": step
      * parts.config.train.batch_size
      / parts.splits["train"].num_examples,
      "seconds": record["seconds"],
      "runs_together": len(runs),
    }
    write(run, step, values)
    record["window"].clear()


def _evaluate(
  stack: stacked.Stack,
  members: Sequence[Member],
  runs: Runs,
  step: int,
  write: Write,
) -> dict[int, tuple[int, int, Values]]:
  """Evaluates, writes, and returns what to tell who watches."""
  if "validation" not in stack.evaluated:
    return {}
  told = {}
  found = stacked.evaluate(stack, "validation")
  for place, run in runs.items():
    values = {
      f"{name}/{metric}": value
      for name, of_name in found[place].items()
      for metric, value in of_name.items()
    }
    write(run, step, values)
    told[run] = (step, members[run].parts.steps.total, values)
    _keep_best(members[run], step, values)
  return told


def _keep_best(member: Member, step: int, values: Values) -> None:
  metric, best = member.parts.config.checkpoint.best, member.record["best"]
  if not metric or not np.isfinite(values[metric]):
    return
  if best is None or values[metric] >= best["value"]:
    member.record["best"] = {
      "step": step,
      "metric": metric,
      "value": values[metric],
    }


def _told(
  watch: Watch, told: Mapping[int, tuple[int, int, Values]]
) -> dict[int, Ending]:
  return {run: Ending("ended", reason) for run, reason in watch(told).items()}


def _going_on(
  members: Sequence[Member], runs: Runs, endings: Mapping[int, Ending]
) -> Runs:
  """The runs that have not ended; says of the others that they have."""
  words = {"ended": "ended early", "diverged": "stopped at"}
  for run in endings.keys() & runs.values():
    ending = endings[run]
    status = f"{words[ending.kind]}: {ending.reason}"
    _write_result(members[run], status=status)
  return {place: run for place, run in runs.items() if run not in endings}


def _save(
  stack: stacked.Stack,
  members: Sequence[Member],
  runs: Runs,
  step: int,
) -> None:
  with contextlib.ExitStack() as saving:
    # Each is written while the next are begun.
    states = stacked.unstacked(stack)
    for place, run in runs.items():
      member = members[run]
      keep = member.parts.config.checkpoint.keep
      manager = saving.enter_context(
        checkpoint.open_manager(member.folder, keep=keep)
      )
      checkpoint.save(manager, step, states[place], member.record)


def _finish(
  stack: stacked.Stack,
  members: Sequence[Member],
  runs: Runs,
  clock: dict[str, float],
) -> dict[int, Ending]:
  """The last evaluation, checkpoint and result of each."""
  parts = members[0].parts
  role = "test" if "test" in parts.splits else "validation"
  name = f"{role}_ema" if parts.config.ema.decay else role
  found = [None] * len(stack.parts)
  if role in stack.evaluated:
    found = [each[name] for each in stacked.evaluate(stack, role)]
  endings = overflowing(found, name, runs, parts.steps.total)
  runs = _going_on(members, runs, endings)
  if not runs:
    return endings
  _save(stack, members, runs, parts.steps.total)
  _spend("saving", members, runs, clock)
  facts = results.describe(parts, None)
  states = stacked.unstacked(stack)
  for place, run in runs.items():
    measured = found[place]
    _write_result(
      members[run],
      **facts,
      status="finished",
      final=measured and {"split": name, "metrics": measured},
      fingerprint=fingerprint.of(states[place]),
      checkpoint=f"checkpoints/{parts.steps.total}",
    )
  return endings | {run: Ending("finished") for run in runs.values()}


def _write_result(member: Member, **facts: Any) -> None:
  record = member.record
  workdirs.write_result(
    member.folder,
    {
      **facts,
      **{key: record[key] for key in ("step", "seconds", "best")},
      **timing.summary(record["spent"], workdirs.began(member.folder)),
    },
  )


def _spend(
  kind: str,
  members: Sequence[Member],
  runs: Runs,
  clock: dict[str, float],
) -> None:
  """Notes the time since the last call, for each run its share."""
  now = time.monotonic()
  seconds, clock["last"] = (now - clock["last"]) / len(runs), now
  for run in runs.values():
    record = members[run].record
    record["spent"][kind] += seconds
    record["seconds"] += seconds
