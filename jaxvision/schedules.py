"""Schedules of the learning rate: functions of the step, with linear warm-up.

Of T total steps the first w are the warm-up, in which the rate is peak * s / w
at step s, so 0 at step 0. At step w it is the peak, and from there the schedule
of the given name holds. Decays reach their end at step T, which is the first
step that is not taken; the last one, T - 1, lies just above it. Beyond T the
rate stays at its end, save for rsqrt, which goes on.

Steps are integers up to 2**31 - 1, and so are all boundaries: they are computed
here once, from the exact fraction that a number such as 0.2 or 2.4 / 350 stands
for. One function serves the compiled step and the log; it takes float32 only of
a difference of steps, so that beyond 2**24 no two steps become the same one.
"""

import fractions
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
  """Returns the schedule called `name`: step -> learning rate.

  Args:
    name: a key of `SCHEDULES`, or "FILE.py:FUNCTION" of the user's own, which
      takes the same arguments.
    peak: the rate at the end of the warm-up.
    total_steps: T, how many steps the training takes.
    warmup_steps: w, fewer than T.
    **options: keyword arguments of the schedule.

  Raises:
    ValueError: the name or an option is unknown, or the steps leave no room.
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
  """A schedule of the user's own, whose results must be single numbers."""
  if not callable(schedule):
    raise ValueError(
      f"schedule {name} returned {type(schedule).__name__}; expected a "
      "function from the step to the learning rate"
    )

  def checked(step: Any) -> jax.Array:
    rate = jnp.asarray(schedule(step), jnp.float32)
    if rate.shape:
      raise ValueError(
        f"schedule {name} gave the shape {rate.shape} for a step; expected a "
        "single number, the learning rate"
      )
    return rate

  return checked


def hold(schedule: Schedule, *, steps: int) -> Schedule:
  """A schedule whose last of so many steps gives the rate of all after it."""
  return lambda step: schedule(jnp.minimum(step, steps - 1))


def constant(peak: float, *, total_steps: int, warmup_steps: int) -> Schedule:
  """The peak, to the end."""
  del total_steps, warmup_steps
  return lambda step: jnp.full(jnp.shape(step), peak, jnp.float32)


def cosine(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  final_fraction: ranges.NonNegative = 0.0,
) -> Schedule:
  """Half a cosine from the peak (Loshchilov & Hutter 2017, no restarts).

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
  """A straight line from the peak.

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
  """Drops by a factor, at the given times or at regular ones.

  Times are fractions of the whole run, counted from its start. A drop within
  the warm-up shows when the warm-up is over. The papers' recipes:
    90 epochs, a tenth at epochs 30, 60 and 80 (He et al. 2016):
      boundaries=(30 / 90, 60 / 90, 80 / 90), factor=0.1;
    350 epochs, times 0.97 every 2.4 epochs (Tan & Le 2019):
      every=2.4 / 350, factor=0.97.

  Args:
    peak: the rate before the first drop.
    total_steps: T.
    warmup_steps: w; does not shift the drops.
    boundaries: when to drop; at the step nearest to each fraction of T.
    every: time between drops; give either this or the boundaries. Each drop
      shows at the first step that is not before its time, several in a short
      run at one.
    factor: by which each drop multiplies the rate.

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
    count = jnp.searchsorted(drops, _whole(step), side="right")
    return jnp.asarray(rates)[count]

  return schedule


def _regular(every: float, total_steps: int) -> list[int]:
  """The first steps that are not before k * every of the run, k = 1, 2, ..."""
  period = _exact(every) * total_steps
  count = int(total_steps / period)
  if count > _MOST_DROPS:
    raise ValueError(
      f"staircase with every={every} drops {count:,} times; give at least "
      f"{1 / _MOST_DROPS}, which drops {_MOST_DROPS:,} times"
    )
  return [math.ceil(k * period) for k in range(1, count + 1)]


def rsqrt(
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int,
  timescale: ranges.Positive = 10_000,
) -> Schedule:
  """peak / sqrt(1 + (s - w) / timescale), which needs no end in advance.

  Normalised to start at the peak, as in the pre-trainings of Zhai et al. 2022,
  "Scaling Vision Transformers".

  Args:
    peak: the rate at step w.
    total_steps: ignored.
    warmup_steps: w.
    timescale: in steps; after 3 of them the rate is half of the peak.
  """
  del total_steps

  def schedule(step: Any) -> jax.Array:
    time = _between(_whole(step), warmup_steps, None) / timescale
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
  """The peak until the last part of the run, which decays (Hu et al. 2024).

  Args:
    peak: the rate from step w on.
    total_steps: T.
    warmup_steps: w.
    decay_fraction: the length of the decay as a fraction of T; about 0.2 in
      Hägele et al. 2024.
    shape: of the decay in its progress p: "linear", 1 - p; "sqrt", 1 - sqrt(p),
      the best of Hägele et al.; "cosine", (1 + cos(pi p)) / 2.
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
      f"a decay over {decay_fraction} of {total_steps} steps is {decay_steps} "
      f"steps; at least 1 and at most the {total_steps - warmup_steps} steps "
      "after the warm-up are possible"
    )

  return _decay(peak, start, total_steps, shape, final_fraction)


SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
  "constant": constant,
  "cosine": cosine,
  "linear": linear,
  "staircase": staircase,
  "rsqrt": rsqrt,
  "warmup_stable_decay": warmup_stable_decay,
}

# What is left of the decay by what is left of its steps, both in [0, 1]; each
# as exact at the end as at the start. With p = 1 - r they are 1 - p,
# 1 - sqrt(p) and (1 + cos(pi p)) / 2.
DECAY_SHAPES: Mapping[str, Callable[[jax.Array], jax.Array]] = {
  "linear": lambda r: r,
  "sqrt": lambda r: r / (1 + jnp.sqrt(1 - r)),
  "cosine": lambda r: jnp.square(jnp.sin(jnp.pi / 2 * r)),
}


def _after_warmup(peak: float, warmup_steps: int, main: Schedule) -> Schedule:
  """Not `optax.join_schedules`, which restarts the count of steps at w."""

  def schedule(step: Any) -> jax.Array:
    step = _whole(step)
    rise = peak * (step.astype(jnp.float32) / warmup_steps)
    return jnp.where(step < warmup_steps, rise, main(step))

  return schedule


def _decay(
  peak: float, start: int, end: int, shape: str, final_fraction: float
) -> Schedule:
  """From the peak at the step `start` to its fraction at `end`, by a shape."""

  def schedule(step: Any) -> jax.Array:
    left = (end - start) - _between(_whole(step), start, end)
    remaining = DECAY_SHAPES[shape](left.astype(jnp.float32) / (end - start))
    return peak * (final_fraction + (1 - final_fraction) * remaining)

  return schedule


def _whole(step: Any) -> jax.Array:
  return jnp.asarray(step, jnp.int32)


def _between(step: jax.Array, start: int, end: int | None) -> jax.Array:
  """Steps since `start`, at most until `end`; int32."""
  return jnp.clip(step, start, end) - start


def _steps(fraction: float, total_steps: int) -> int:
  """The step nearest to a fraction of the run."""
  return round(_exact(fraction) * total_steps)


def _exact(number: float) -> fractions.Fraction:
  """The simplest fraction that a number stands for: 1/5 for 0.2.

  What a few roundings make of a fraction, as in 2.4 / 350, is still that.
  """
  exact = fractions.Fraction(number)
  simple = exact.limit_denominator(10**6)
  is_meant = abs(simple - exact) <= exact / 2**50
  return simple if is_meant else exact
