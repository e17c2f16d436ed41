"""The only loop: step, log, evaluate, save, stop.

It counts steps. The position of the data, the order of the examples and all
randomness are functions of the step, so a run that was killed at any moment
and started again ends with the parameters, bit for bit, of one that was not.

The host never waits for the step it has just sent: what step n measured is
read after step n + 1 was sent. Only evaluations and checkpoints wait.
"""

import contextlib
import dataclasses
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import checkpoint, trees
from jaxvision.config import durations
from jaxvision.processes import preemption
from jaxvision.training.loop import timing
from jaxvision.training.step.train_step import TrainState

Tree = Any
_LOGGER = logging.getLogger(__name__)


class Preempted(Exception):
  """The run was asked to stop; its state is saved, and it can go on."""


class Diverged(trees.NotFinite):
  """A number that must be finite is not: the loss, or one of the state.

  Attributes:
    good: the last step whose checkpoint is known to be good, where known.
  """

  def __init__(self, message: str, *, good: int | None = None):
    super().__init__(message)
    self.good = good


class Ended(Exception):
  """Whoever watches the run has seen enough of it; the message says why."""


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
    warm_up: takes the state after the first call of this start, while little
      is unsaved: compiles what the measures need.
    began: when the run was started first, seconds of `time.time`; None does
      without the goodput.
    peak: images per second that the devices could compute; None is unknown.
    watch: (step, steps in all, what an evaluation has measured) -> why the run
      shall end here, "" if it shall not.
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
  warm_up: Callable[[TrainState], None] = lambda _: None
  began: float | None = None
  peak: float | None = None
  watch: Callable[[int, int, Mapping[str, float]], str] = lambda *_: ""


def empty_record() -> dict[str, Any]:
  """What a checkpoint remembers beside the state, before the first step.

  step: of the state; seconds: in the loop so far, all restarts together; spent:
  by `timing.KINDS`; window: the sums since the last line of the log, so that a
  resumed run writes the same lines; best: the best evaluation so far;
  unevaluated: whether the evaluation that is due after this step was left.
  """
  return {
    "step": 0,
    "seconds": 0.0,
    "spent": dict.fromkeys(timing.KINDS, 0.0),
    "window": {},
    "best": None,
    "unevaluated": False,
  }


def run_loop(
  run: Run,
  state: TrainState,
  record: dict[str, Any],
  manager: checkpoint.Manager,
  should_stop: preemption.Stopping,
) -> TrainState:
  """Trains from the state's step to the last.

  Args:
    run: what to do.
    state: fresh or restored; it is donated.
    record: from `empty_record` or from the checkpoint; kept up to date.
    manager: of the checkpoints.
    should_stop: whether the run was asked to stop.

  Returns:
    The final state, which is also saved.

  Raises:
    Preempted: it was asked to stop; the state is saved.
    Diverged: the loss or the state is not finite; such a state is neither
      evaluated nor saved, and the checkpoints before it are kept.
    Ended: whoever watches it wants no more of it.
    checkpoint.CheckpointError: the state could not be saved.
  """
  clock = timing.start_clock(record)
  if should_stop():
    raise Preempted(f"stopped where it began, at step {record['step']}")
  if record["unevaluated"]:
    _evaluate_late(run, state, record, manager, clock)
  unread, is_warm, first = None, False, record["step"]
  step = saved = first
  for step, batch in _feed(run, first, clock, should_stop):
    state, sums = run.step(state, batch)
    if unread:
      _read(run, *unread, record, clock)
    unread = (step, sums)
    if not is_warm:
      _warm_up(run, state, record, clock)
      is_warm = True
    last = step == run.steps.total
    evaluates = last or step % run.steps.evaluate == 0
    saves = last or step % run.steps.checkpoint == 0
    if not (evaluates or saves):
      continue
    _read(run, *unread, record, clock)
    check_finite(state, step)
    unread, paused = None, time.monotonic()
    timing.spend("steps", clock, record)
    score = _evaluate(run, state, record, clock) if evaluates else None
    # An evaluation takes long enough to be told to stop.
    stops = record["unevaluated"] or (should_stop() and not last)
    if saves or score is not None or stops:
      checkpoint.save(manager, step, state, record, score=score)
      saved = step
    if stops:
      checkpoint.wait(manager)
    clock["saving"] += timing.spend("saving", clock, record)
    if stops:
      raise Preempted(f"stopped and saved at step {step}")
    timing.skip(time.monotonic() - paused, clock)
  if step == run.steps.total:
    return state
  if unread:
    _read(run, *unread, record, clock)
    check_finite(state, step)
  timing.spend("steps", clock, record)
  if step != saved:
    checkpoint.save(manager, step, state, record)
  checkpoint.wait(manager)
  where = "where it began," if step == first else "and saved"
  raise Preempted(f"stopped {where} at step {step}")


def _feed(
  run: Run, first: int, clock: timing.Clock, should_stop: preemption.Stopping
) -> Iterator[tuple[int, Tree]]:
  """Batches until the end or the stop, which does not wait for the next."""
  with contextlib.suppress(preemption.Stopped):
    yield from preemption.until_stopped(
      timing.timed(run.feed(first), clock),
      should_stop,
      signals=[signal.SIGTERM, signal.SIGINT],
    )


def _evaluate_late(
  run: Run,
  state: TrainState,
  record: dict[str, Any],
  manager: checkpoint.Manager,
  clock: timing.Clock,
) -> None:
  """The evaluation that a stop has left out, of the state just restored."""
  paused = time.monotonic()
  score = _evaluate(run, state, record, clock)
  if record["unevaluated"]:
    raise Preempted(f"stopped where it began, at step {record['step']}")
  if score is not None:
    checkpoint.add_score(manager, record["step"], score)
  timing.skip(time.monotonic() - paused, clock)


def _warm_up(
  run: Run, state: TrainState, record: dict[str, Any], clock: timing.Clock
) -> None:
  """Compiles for the evaluations; no time of the steps, which go on."""
  timing.spend("steps", clock, record)
  with contextlib.suppress(preemption.Stopped):  # The loop asks again.
    run.warm_up(state)
  timing.skip(timing.spend("starting", clock, record), clock)


def _read(
  run: Run,
  last_step: int,
  sums: Tree,
  record: dict[str, Any],
  clock: timing.Clock,
) -> None:
  """Checks, adds up and writes what the steps of one call measured."""
  measured = jax.device_get(sums)
  count = len(measured["loss"])
  for i in range(count):
    step = record["step"] = last_step - count + 1 + i
    _add(record["window"], {k: v[i] for k, v in measured.items()}, step)
    if step == 1:
      run.check_first(window_means(record["window"])["train/loss"])
    if _is_line(run.steps, step):
      later = range(step + 1, last_step + 1)
      # Steps of one call take no time of their own: the last line has it all.
      is_last = not any(_is_line(run.steps, each) for each in later)
      _log(run, step, record, clock if is_last else None)


def _is_line(steps: durations.Durations, step: int) -> bool:
  return step % steps.log == 0 or step == steps.total


def _log(
  run: Run, step: int, record: dict[str, Any], clock: timing.Clock | None
) -> None:
  """Writes the means since the last line and begins a new window.

  Without a clock the line has no speeds.
  """
  values = window_means(record["window"]) | {
    "learning_rate": float(run.schedule(step - 1)),
    "epoch": step * run.batch_size / run.num_examples,
  }
  if clock:
    timing.spend("steps", clock, record)
    values |= timing.values(
      step, clock, batch_size=run.batch_size, peak=run.peak
    )
  values["seconds"] = record["seconds"]
  share = timing.goodput(record["spent"], run.began)
  if share is not None:
    values["goodput"] = share
  run.write(step, values)
  run.show(step, values)
  record["window"].clear()


def _add(window: dict[str, float], sums: Mapping[str, Any], step: int) -> None:
  for name, value in {**sums, "steps": 1}.items():
    window[name] = window.get(name, 0) + np.asarray(value).item()
  if not math.isfinite(sums["loss"]) or not math.isfinite(
    sums["gradient_norm"]
  ):
    raise Diverged(
      f"step {step}: the loss is {float(sums['loss'])} and the norm of its "
      f"gradient {float(sums['gradient_norm'])}",
      # The state before this step is what has that loss.
      good=step - (1 if math.isfinite(sums["loss"]) else 2),
    )


def check_finite(state: Tree, step: int) -> None:
  """Raises Diverged if the state after a step holds a NaN or an infinity.

  The loss tells of it one step later, and not at all where an optimizer's
  state has become infinite or the step was the last.
  """
  if broken := trees.not_finite(state):
    raise Diverged(explain_not_finite(broken, step), good=step - 1)


def explain_not_finite(paths: Sequence[str], step: int) -> str:
  """What is wrong with a state of which these leaves are not finite."""
  more = f" and {len(paths) - 3} more arrays" if len(paths) > 3 else ""
  return (
    f"step {step}: the update has made NaN or infinity of "
    f"{', '.join(paths[:3])}{more}"
  )


def window_means(window: Mapping[str, float]) -> dict[str, float]:
  """Sums over examples by their count, the gradient's norm by the steps."""
  count = max(window["count"], 1)
  return {
    "train/loss": window["loss"] / count,
    "train/top1": window["top1"] / count,
    "gradient_norm": window["gradient_norm"] / window["steps"],
  }


def _evaluate(
  run: Run, state: TrainState, record: dict[str, Any], clock: timing.Clock
) -> float | None:
  """Evaluates, writes, and returns the score if it is the best so far.

  Left by a stop it writes nothing and says so in the record.
  """
  try:
    measured = {name: f(state) for name, f in run.measures.items()}
  except preemption.Stopped:
    record["unevaluated"] = True
    return None
  finally:
    timing.spend("evaluating", clock, record)
  record["unevaluated"] = False
  values = {
    f"{name}/{metric}": value
    for name, metrics in measured.items()
    for metric, value in metrics.items()
  }
  if not values:
    return None
  run.write(record["step"], values)
  run.show(record["step"], values)
  _warn_of_nan(record["step"], values)
  if reason := run.watch(record["step"], run.steps.total, values):
    raise Ended(reason)
  if not run.best:
    return None
  score, best = values[run.best], record["best"]
  if not math.isfinite(score):
    return None
  if best is not None and not score >= best["value"]:
    return None
  record["best"] = {
    "step": record["step"],
    "metric": run.best,
    "value": score,
  }
  return score


def _warn_of_nan(step: int, values: Mapping[str, float]) -> None:
  """An evaluation may overflow while the running averages are still young."""
  broken = [name for name, value in values.items() if not math.isfinite(value)]
  if broken:
    _LOGGER.warning(
      "step %d: %s is not finite, although the parameters are: the model "
      "overflows in evaluation. Normalisations by running averages may do so "
      "in the first steps; later, lower optimizer.learning_rate.",
      step,
      ", ".join(broken),
    )
