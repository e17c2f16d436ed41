"""Learning-rate schedules: functions of the step, with linear warm-up.

The first w of T steps are the warm-up: at step s the rate is peak * s / w, so
it is 0 at step 0. At step w the rate is the peak, and the named schedule
starts. A decay ends at step T, the step after the last one; at the last step,
T - 1, the rate is slightly larger. After T the rate is constant, except for
rsqrt, which continues. one_cycle has its own rise instead of a warm-up, and
ends at step T - 1, as in torch.

Steps and boundaries are integers up to 2**31 - 1. Boundaries are computed once,
from the exact fraction for a number such as 0.2 or 2.4 / 350. The compiled step
and the log use the same function. It converts only differences of steps to
float32, so steps above 2**24 stay distinct.
"""

import fractions
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import lookup
from jaxvision.lookup import ranges

Schedule = Callable[[Any], jax.Array]

_MOST_DROPS = 10_000


def create(
  name: str,
  *,
  peak: float,
  total_steps: int,
  warmup_steps: int = 0,
  **options: Any,
) -> Schedule:
  """Returns the schedule with this name: step -> learning rate.

  Args:
    name: a key of `SCHEDULES`, or "FILE.py:FUNCTION" for the user's own
      schedule with the same arguments.
    peak: the rate at the end of the warm-up.
    total_steps: T, number of training steps.
    warmup_steps: w, less than T.
    **options: keyword arguments of the schedule.

  Raises:
    ValueError: the name or an option is unknown, or the warm-up does not fit.
  """
  function = lookup.find(name, SCHEDULES, kind="schedule")
  if not 0 <= warmup_steps < total_steps:
    raise ValueError(
      f"a warm-up of {warmup_steps} steps does not fit before the end of "
      f"{total_steps} steps; shorten schedule.warmup or train longer"
    )
  given = {
    "peak": "set optimizer.learning_rate",
    "total_steps": "set train.duration",
    "warmup_steps": "set schedule.warmup",
  }
  make = lookup.bind(function, options, "schedule.options", reserved=given)
  main = make(peak, total_steps=total_steps, warmup_steps=warmup_steps)
  if lookup.is_own(name):
    main = _checked(main, lookup.as_written(name))
  if not warmup_steps:
    return main
  return _after_warmup(peak, warmup_steps, main)


def _checked(schedule: Any, name: str) -> Schedule:
  """Wraps the user's own schedule with a check of its results."""
  if not callable(schedule):
    raise ValueError(
      f"schedule {name} returned {type(schedule).__name__}; expected a "
      "function from the step to the learning rate"
    )

  def checked(step: Any) -> jax.Array:
    rate = jnp.asarray(schedule(step), jnp.float32)
    if rate.shape:
      raise ValueError(
        f"schedule {name} returned the shape {rate.shape} for a step; expected "
        "a single number, the learning rate"
      )
    return rate

  return checked


def hold(schedule: Schedule, *, steps: int) -> Schedule:
  """A schedule of `steps` steps that keeps its last rate after them."""
  return lambda step: schedule(jnp.minimum(step, steps - 1))


def constant(peak: float, *, total_steps: int, warmup_steps: int) -> Schedule:
  """A constant rate, the peak."""
  del total_steps, warmup_steps
  return lambda step: jnp.full(jnp.shape(step), peak, jnp.float32)


def cosine(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  final_fraction: ranges.NonNegative = 0.0,
) -> Schedule:
  """Cosine decay from the peak (Loshchilov & Hutter 2017, no restarts).

  Args:
    peak: the rate at step w.
    total_steps: T.
    warmup_steps: w.
    final_fraction: the rate at T as a fraction of the peak.
  """
  return _decay(peak, warmup_steps, total_steps, "cosine", final_fraction)


def linear(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  final_fraction: ranges.NonNegative = 0.0,
) -> Schedule:
  """Linear decay from the peak.

  Args:
    peak: the rate at step w.
    total_steps: T.
    warmup_steps: w.
    final_fraction: the rate at T as a fraction of the peak.
  """
  return _decay(peak, warmup_steps, total_steps, "linear", final_fraction)


def staircase(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  boundaries: Sequence[float] = (),
  every: ranges.NonNegative = 0.0,
  factor: ranges.Positive = 0.1,
) -> Schedule:
  """Drops by a factor at given times, or at regular times.

  Times are fractions of the run, from its start. A drop during the warm-up
  takes effect after the warm-up. The recipes of the papers:
    90 epochs, a tenth at epochs 30, 60 and 80 (He et al. 2016):
      boundaries=(30 / 90, 60 / 90, 80 / 90), factor=0.1;
    350 epochs, times 0.97 every 2.4 epochs (Tan & Le 2019):
      every=2.4 / 350, factor=0.97.

  Args:
    peak: the rate before the first drop.
    total_steps: T.
    warmup_steps: w; does not shift the drops.
    boundaries: times of the drops, rounded to the nearest step.
    every: time between drops; give either this or `boundaries`. A drop is at
      the first step at or after its time; in a short run, one step can have
      several drops.
    factor: factor of the rate at each drop.

  Raises:
    ValueError: both or none of `boundaries` and `every` are given, a time is
      not in (0, 1), or there are more than 10,000 regular drops.
  """
  del warmup_steps
  times = (*boundaries, every) if every else tuple(boundaries)
  if bool(boundaries) == bool(every) or not all(0 < t < 1 for t in times):
    raise ValueError(
      "staircase takes either boundaries or every, as fractions of the run in "
      f"(0, 1), such as boundaries=(0.3, 0.6, 0.9); not {boundaries=}, {every=}"
    )
  drops = np.asarray(
    _regular(every, total_steps)
    if every
    else sorted(_steps(time, total_steps) for time in boundaries),
    np.int32,
  )
  rates = np.float32(peak * np.power(float(factor), range(len(drops) + 1)))

  def schedule(step: Any) -> jax.Array:
    count = jnp.searchsorted(drops, _as_integer(step), side="right")
    return jnp.asarray(rates)[count]

  return schedule


def _regular(every: float, total_steps: int) -> list[int]:
  """The first steps at or after k * every of the run, k = 1, 2, ..."""
  period = _exact(every) * total_steps
  count = int(total_steps / period)
  if count > _MOST_DROPS:
    raise ValueError(
      f"staircase with every={every} has {count:,} drops; give at least "
      f"{1 / _MOST_DROPS}, for at most {_MOST_DROPS:,} drops"
    )
  return [math.ceil(k * period) for k in range(1, count + 1)]


def rsqrt(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  timescale: ranges.Positive = 10_000,
) -> Schedule:
  """peak / sqrt(1 + (s - w) / timescale), independent of T.

  It starts at the peak, as in the pre-training of Zhai et al. 2022, "Scaling
  Vision Transformers".

  Args:
    peak: the rate at step w.
    total_steps: ignored.
    warmup_steps: w.
    timescale: in steps; the rate is half of the peak after 3 timescales.
  """
  del total_steps

  def schedule(step: Any) -> jax.Array:
    time = _between(_as_integer(step), warmup_steps, None) / timescale
    return peak / jnp.sqrt(1 + time)

  return schedule


def warmup_stable_decay(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  decay_fraction: ranges.Probability = 0.2,
  shape: str = "linear",
  final_fraction: ranges.NonNegative = 0.0,
) -> Schedule:
  """The peak, then a decay in the last part of the run (Hu et al. 2024).

  Args:
    peak: the rate from step w on.
    total_steps: T.
    warmup_steps: w.
    decay_fraction: the length of the decay as a fraction of T; about 0.2 in
      Hägele et al. 2024.
    shape: shape of the decay over its progress p: "linear", 1 - p; "sqrt",
      1 - sqrt(p), the best one of Hägele et al.; "cosine",
      (1 + cos(pi p)) / 2.
    final_fraction: the rate at T as a fraction of the peak.

  Raises:
    ValueError: the shape is unknown, or the decay does not fit after w.
  """
  if shape not in DECAY_SHAPES:
    raise ValueError(lookup.unknown("shape of decay", shape, DECAY_SHAPES))
  decay_steps = _steps(decay_fraction, total_steps)
  start = total_steps - decay_steps
  if not warmup_steps <= start < total_steps:
    raise ValueError(
      f"a decay over {decay_fraction} of {total_steps} steps has {decay_steps} "
      f"steps; give a fraction with at least 1 step and at most the "
      f"{total_steps - warmup_steps} steps after the warm-up"
    )

  return _decay(peak, start, total_steps, shape, final_fraction)


def one_cycle(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  start_fraction: ranges.NonNegative = 0.04,
  rise: ranges.Probability = 0.3,
  final_fraction: ranges.NonNegative = 4e-6,
  shape: Literal["cosine", "linear"] = "cosine",
  three_phase: bool = False,
) -> Schedule:
  """A rise to the peak and a fall far below the start (Smith & Topin 2018).

  It is the schedule of torch.optim.lr_scheduler.OneCycleLR, with its defaults.
  The rate is the peak at the time rise * T - 1, and reaches its final value at
  step T - 1.

  Args:
    peak: the largest rate; `max_lr` of torch.
    total_steps: T.
    warmup_steps: 0.
    start_fraction: the rate at step 0 as a fraction of the peak; 1 /
      `div_factor` of torch.
    rise: the length of the rise as a fraction of T; `pct_start` of torch.
    final_fraction: the rate at step T - 1 as a fraction of the peak; 1 /
      (`div_factor` * `final_div_factor`) of torch.
    shape: shape of the rise and of the falls; `anneal_strategy` of torch, "cos"
      or "linear".
    three_phase: whether the rate first falls back to its start, in the same
      time as it rose, and then to its final value.

  Raises:
    ValueError: there is a warm-up, or the phases do not fit in T.
  """
  if warmup_steps:
    raise ValueError(
      f"one_cycle rises by itself, and the warm-up has {warmup_steps} steps; "
      'set schedule.warmup to "0 steps", and the length of the rise in '
      "schedule.options: rise"
    )
  top = _exact(rise) * total_steps - 1
  start, final = peak * start_fraction, peak * final_fraction
  phases = [(top, start, peak), (total_steps - 1, peak, final)]
  if three_phase:
    phases[1:] = [(2 * top, peak, start), (total_steps - 1, start, final)]
  times = [0, *(time for time, *_ in phases)]
  if not all(a < b for a, b in itertools.pairwise(times)):
    most = "half of the steps" if three_phase else "all steps"
    raise ValueError(
      f"one_cycle: a rise over {rise} of {total_steps} steps leaves no step "
      f"for a phase; it must be longer than 1 step and shorter than {most}: "
      "change schedule.options: rise, or train longer"
    )
  return _in_phases(phases, shape)


SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
  "constant": constant,
  "cosine": cosine,
  "linear": linear,
  "staircase": staircase,
  "rsqrt": rsqrt,
  "warmup_stable_decay": warmup_stable_decay,
  "one_cycle": one_cycle,
}

# Remaining decay as a function of the remaining steps r, both in [0, 1], in a
# form that is precise at both ends. With p = 1 - r they are 1 - p, 1 - sqrt(p)
# and (1 + cos(pi p)) / 2.
DECAY_SHAPES: Mapping[str, Callable[[jax.Array], jax.Array]] = {
  "linear": lambda r: r,
  "sqrt": lambda r: r / (1 + jnp.sqrt(1 - r)),
  "cosine": lambda r: jnp.square(jnp.sin(jnp.pi / 2 * r)),
}


def _after_warmup(peak: float, warmup_steps: int, main: Schedule) -> Schedule:
  """Adds the warm-up. (`optax.join_schedules` would restart steps at w.)"""

  def schedule(step: Any) -> jax.Array:
    step = _as_integer(step)
    rise = peak * (step.astype(jnp.float32) / warmup_steps)
    return jnp.where(step < warmup_steps, rise, main(step))

  return schedule


def _decay(
  peak: float, start: int, end: int, shape: str, final_fraction: float
) -> Schedule:
  """A decay from the peak at `start` to its fraction at `end`."""

  def schedule(step: Any) -> jax.Array:
    left = (end - start) - _between(_as_integer(step), start, end)
    remaining = DECAY_SHAPES[shape](left.astype(jnp.float32) / (end - start))
    return peak * (final_fraction + (1 - final_fraction) * remaining)

  return schedule


def _in_phases(
  phases: Sequence[tuple[fractions.Fraction | int, float, float]], shape: str
) -> Schedule:
  """From value to value: (time of the end, first value, last value).

  Each phase is computed from the end with the smaller value, where it is
  precise. Times may be between two steps.
  """

  def schedule(step: Any) -> jax.Array:
    last, *_ = phases[-1]
    step = jnp.clip(_as_integer(step), 0, last)
    value, begin = jnp.float32(phases[0][1]), 0
    for end, first, final in phases:
      away = _since(step, begin) if first < final else -_since(step, end)
      part = jnp.clip(away / float(end - begin), 0, 1)
      low, high = sorted((first, final))
      now = low + (high - low) * DECAY_SHAPES[shape](part)
      value = jnp.where(step > math.floor(begin), now, value)
      begin = end
    return value

  return schedule


def _since(step: jax.Array, time: fractions.Fraction | int) -> jax.Array:
  """Steps since a time, which may be between two steps; float32."""
  whole = math.floor(time)
  return (step - whole).astype(jnp.float32) - float(time - whole)


def _as_integer(step: Any) -> jax.Array:
  return jnp.asarray(step, jnp.int32)


def _between(step: jax.Array, start: int, end: int | None) -> jax.Array:
  """Steps since `start`, at most up to `end`; int32."""
  return jnp.clip(step, start, end) - start


def _steps(fraction: float, total_steps: int) -> int:
  """The step nearest to a fraction of the run."""
  return round(_exact(fraction) * total_steps)


def _exact(number: float) -> fractions.Fraction:
  """The simplest fraction near a number: 1/5 for 0.2.

  A few rounding errors, as in 2.4 / 350, do not change the fraction.
  """
  exact = fractions.Fraction(number)
  simple = exact.limit_denominator(10**6)
  is_meant = abs(simple - exact) <= exact / 2**50
  return simple if is_meant else exact
