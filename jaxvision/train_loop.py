"""The only loop: step, log, evaluate, save, stop.

It counts steps. The position of the data, the order of the examples and all
randomness are functions of the step, so a run that was killed at any moment
and started again ends with the parameters, bit for bit, of one that was not.

The host never waits for the step it has just sent: what step n measured is
read after step n + 1 was sent. Only evaluations and checkpoints wait.
"""

import contextlib
import dataclasses
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import checkpoint, durations
from jaxvision.train_step import TrainState

Tree = Any


class Preempted(Exception):
  """The run was asked to stop; its state is saved, and it can go on."""


class Diverged(Exception):
  """The loss is not a finite number any more."""


@dataclasses.dataclass(frozen=True)
class Run:
  """What the loop needs.

  Attributes:
    steps: the durations.
    batch_size: examples in a step.
    num_examples: examples in an epoch.
    step: (state, batch) -> (state, sums), each sum (steps of the call,).
    feed: first step -> iterator of (step after the batch, batch).
    schedule: step -> learning rate.
    measures: by the name their metrics have, as "validation_ema"; each takes
      the state and returns metrics by name.
    best: the metric that decides which checkpoint is the best; "" for none.
    write: (step, values), to disk.
    show: (step, values), to the screen.
    check_first: takes the loss of the first step.
  """

  steps: durations.Durations
  batch_size: int
  num_examples: int
  step: Callable[[TrainState, Tree], tuple[TrainState, Tree]]
  feed: Callable[[int], Iterator[tuple[int, Tree]]]
  schedule: Callable[[int], Any]
  measures: Mapping[str, Callable[[TrainState], Mapping[str, float]]]
  best: str
  write: Callable[[int, Mapping[str, float]], None]
  show: Callable[[int, Mapping[str, float]], None]
  check_first: Callable[[float], None]


def empty_record() -> dict[str, Any]:
  """What a checkpoint remembers beside the state, before the first step.

  step: of the state; seconds: spent so far, all restarts together; window: the
  sums since the last line of the log, so that a resumed run writes the same
  lines; best: the best evaluation so far.
  """
  return {"step": 0, "seconds": 0.0, "window": {}, "best": None}


def run_loop(
  run: Run,
  state: TrainState,
  record: dict[str, Any],
  manager: checkpoint.Manager,
  stopping: Callable[[], bool],
) -> TrainState:
  """Trains from the state's step to the last.

  Args:
    run: what to do.
    state: fresh or restored; it is donated.
    record: from `empty_record` or from the checkpoint; kept up to date.
    manager: of the checkpoints.
    stopping: whether the run was asked to stop, as `stop_requested` gives it.

  Returns:
    The final state, which is also saved.

  Raises:
    Preempted: it was asked to stop; the state is saved.
    Diverged: the loss is not finite; the checkpoints before it are kept.
    checkpoint.CheckpointError: the state could not be saved.
  """
  clock = _start_clock(record)
  unread = None
  for step, batch in run.feed(record["step"]):
    state, sums = run.step(state, batch)
    if unread:
      _read(run, *unread, record, clock)
    unread = (step, sums)
    last = step == run.steps.total
    evaluates = last or step % run.steps.evaluate == 0
    saves = last or step % run.steps.checkpoint == 0
    if not (evaluates or saves or stopping()):
      continue
    _read(run, *unread, record, clock)
    unread, paused = None, time.monotonic()
    score = _evaluate(run, step, state, record) if evaluates else None
    # Asked again: an evaluation takes long enough to be told to stop.
    stops = stopping() and not last
    if saves or score is not None or stops:
      record["seconds"] = time.monotonic() - clock["start"]
      checkpoint.save(manager, step, state, record, score=score)
    if stops:
      checkpoint.wait(manager)
      raise Preempted(f"stopped and saved at step {step}")
    clock["since"] += time.monotonic() - paused
  return state


def _start_clock(record: Mapping[str, Any]) -> dict[str, float]:
  """start: when the run began, as if it had never been interrupted; since,
  step: of the last line of the log, without evaluations and checkpoints."""
  now = time.monotonic()
  return {
    "start": now - record["seconds"],
    "since": now,
    "step": record["step"],
  }


def _read(
  run: Run,
  last_step: int,
  sums: Tree,
  record: dict[str, Any],
  clock: dict[str, float],
) -> None:
  """Checks, adds up and writes what the steps of one call measured."""
  measured = jax.device_get(sums)
  count = len(measured["loss"])
  for i in range(count):
    step = record["step"] = last_step - count + 1 + i
    _add(record["window"], {k: v[i] for k, v in measured.items()}, step)
    if step == 1:
      run.check_first(_window_means(record["window"])["train/loss"])
    if step % run.steps.log == 0 or step == run.steps.total:
      _log(run, step, record["window"], clock)


def _log(
  run: Run, step: int, window: dict[str, float], clock: dict[str, float]
) -> None:
  """Writes the means since the last line and begins a new window."""
  now = time.monotonic()
  done = (step - clock["step"]) * run.batch_size
  values = _window_means(window) | {
    "learning_rate": float(run.schedule(step - 1)),
    "epoch": step * run.batch_size / run.num_examples,
    "images_per_second": done / max(now - clock["since"], 1e-9),
    "seconds": now - clock["start"],
  }
  run.write(step, values)
  run.show(step, values)
  window.clear()
  clock.update(since=now, step=step)


def _add(window: dict[str, float], sums: Mapping[str, Any], step: int) -> None:
  for name, value in {**sums, "steps": 1}.items():
    window[name] = window.get(name, 0) + np.asarray(value).item()
  if not math.isfinite(sums["loss"]) or not math.isfinite(
    sums["gradient_norm"]
  ):
    raise Diverged(
      f"step {step}: the loss is {float(sums['loss'])} and the norm of its "
      f"gradient {float(sums['gradient_norm'])}"
    )


def _window_means(window: Mapping[str, float]) -> dict[str, float]:
  """Sums over examples by their count, the gradient's norm by the steps."""
  count = max(window["count"], 1)
  return {
    "train/loss": window["loss"] / count,
    "train/top1": window["top1"] / count,
    "gradient_norm": window["gradient_norm"] / window["steps"],
  }


def _evaluate(
  run: Run, step: int, state: TrainState, record: dict[str, Any]
) -> float | None:
  """Evaluates, writes, and returns the score if it is the best so far."""
  values = {
    f"{name}/{metric}": value
    for name, measure in run.measures.items()
    for metric, value in measure(state).items()
  }
  if not values:
    return None
  run.write(step, values)
  run.show(step, values)
  if not run.best:
    return None
  score, best = values[run.best], record["best"]
  if best is not None and not score >= best["value"]:
    return None
  record["best"] = {"step": step, "metric": run.best, "value": score}
  return score


@contextlib.contextmanager
def stop_requested(
  signals: Sequence[signal.Signals],
) -> Iterator[Callable[[], bool]]:
  """Tells whether one of `signals` came; a second SIGINT ends at once."""
  asked = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield asked.is_set
    return

  def ask(number, _):
    asked.set()
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, signal.default_int_handler)
    # Not print: the signal may have come in the middle of one.
    os.write(2, b"\nsaving and stopping; Ctrl-C ends at once\n")

  before = {each: signal.signal(each, ask) for each in signals}
  try:
    yield asked.is_set
  finally:
    for each, handler in before.items():
      signal.signal(each, handler)
