"""Tests of jaxvision.schedules: borders, closed forms, optax, recipes."""

import fractions
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import schedules

T, W, PEAK = 1000, 100, 0.3
OPTIONS = {"staircase": {"boundaries": (0.3, 0.6, 0.9)}}
# OneCycleLR of torch 2.14.1: the rates with max_lr=0.3 and total_steps=1000.
TORCH_VALUES = {
  0: 0.01200000000000001,
  1: 0.012007948512650357,
  150: 0.15675650043676406,
  299: 0.3,
  300: 0.2999984893548434,
  650: 0.14932740652694584,
  998: 2.7106451566109876e-06,
  999: 1.2e-06,
}
WARMED = [name for name in schedules.SCHEDULES if name != "one_cycle"]


def _create(name, total_steps=T, warmup_steps=W, **options):
  return schedules.create(
    name,
    peak=PEAK,
    total_steps=total_steps,
    warmup_steps=warmup_steps,
    **(options or OPTIONS.get(name, {})),
  )


def _values(schedule, steps=T):
  return np.asarray(jax.vmap(schedule)(jnp.arange(steps)))


@pytest.mark.parametrize("name", WARMED)
def test_warmup_rises_linearly_from_zero_to_exactly_the_peak(name):
  schedule = _create(name)
  assert float(schedule(0)) == 0.0
  assert np.float32(schedule(W)) == np.float32(PEAK)
  np.testing.assert_allclose(
    _values(schedule, W), PEAK * np.arange(W) / W, rtol=1e-6
  )


@pytest.mark.parametrize("name", WARMED)
def test_without_warmup_the_first_step_has_the_peak(name):
  assert np.float32(_create(name, warmup_steps=0)(0)) == np.float32(PEAK)


@pytest.mark.parametrize("name", WARMED)
def test_after_the_warmup_no_rate_is_above_the_one_before(name):
  values = _values(_create(name), T + 50)[W:]
  assert (np.diff(values) <= 0).all() and (values >= 0).all()


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_compiled_traced_and_plain_steps_agree(name):
  schedule = _create(name, warmup_steps=W if name in WARMED else 0)
  for step in (0, 1, W - 1, W, W + 1, 500, T - 1, T):
    compiled = jax.jit(schedule)(jnp.asarray(step, jnp.int32))
    assert compiled.shape == ()
    # Close to the end, 1 - progress is as exact as the peak, not as itself.
    np.testing.assert_allclose(
      compiled, schedule(step), rtol=1e-6, atol=1e-7 * PEAK
    )


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("name", ["cosine", "linear", "warmup_stable_decay"])
def test_decays_end_at_the_final_fraction(name, fraction):
  schedule = _create(name, final_fraction=fraction)
  assert np.float32(schedule(W)) == pytest.approx(PEAK, rel=1e-7)
  end = PEAK * fraction
  assert float(schedule(T)) == pytest.approx(end, abs=1e-8)
  assert float(schedule(T + 99)) == pytest.approx(end, abs=1e-8)
  assert float(schedule(T - 1)) > end


def test_cosine_equals_optax_and_its_closed_form():
  values = _values(_create("cosine", final_fraction=0.1))
  theirs = optax.warmup_cosine_decay_schedule(0.0, PEAK, W, T, 0.1 * PEAK)
  np.testing.assert_allclose(values, _values(theirs), rtol=1e-5)
  progress = (np.arange(W, T) - W) / (T - W)
  closed = PEAK * (0.1 + 0.9 * (1 + np.cos(np.pi * progress)) / 2)
  np.testing.assert_allclose(values[W:], closed, rtol=1e-5)


def test_linear_equals_its_closed_form():
  closed = PEAK * (T - np.arange(W, T)) / (T - W)
  np.testing.assert_allclose(
    _values(_create("linear"))[W:], closed, rtol=1e-4, atol=1e-7
  )


def test_rsqrt_equals_its_closed_form_and_halves_after_three_timescales():
  schedule = _create("rsqrt", timescale=50)
  closed = PEAK / np.sqrt(1 + (np.arange(W, T) - W) / 50)
  np.testing.assert_allclose(_values(schedule)[W:], closed, rtol=1e-6)
  assert float(schedule(W + 150)) == pytest.approx(PEAK / 2)


def test_staircase_of_he_2016():
  """90 epochs of 500 steps, a tenth at epochs 30, 60 and 80."""
  epoch = 500
  schedule = _create(
    "staircase",
    total_steps=90 * epoch,
    warmup_steps=0,
    boundaries=(30 / 90, 60 / 90, 80 / 90),
  )
  for drops, first, last in ((0, 0, 30), (1, 30, 60), (2, 60, 80), (3, 80, 90)):
    for step in (first * epoch, last * epoch - 1):
      assert float(schedule(step)) == pytest.approx(PEAK * 0.1**drops)


def test_staircase_of_tan_2019():
  """350 epochs of 1,000 steps, times 0.97 every 2.4 epochs, 5 of warm-up."""
  schedule = _create(
    "staircase",
    total_steps=350_000,
    warmup_steps=5000,
    every=2.4 / 350,
    factor=0.97,
  )
  assert float(schedule(4999)) == pytest.approx(PEAK * 4999 / 5000)
  for step in (5000, 7199, 7201, 123_456, 349_999):
    expected = PEAK * 0.97 ** math.floor(step / 2400)
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)


def test_two_drops_at_one_step_are_two_drops():
  """In a run so short that both round to the same step."""
  schedule = _create(
    "staircase", total_steps=4, warmup_steps=0, boundaries=(0.5, 0.55)
  )
  assert float(schedule(2)) == pytest.approx(PEAK / 100)


@pytest.mark.parametrize(
  ("shape", "halfway"),
  [("linear", 0.5), ("sqrt", 1 - 0.5**0.5), ("cosine", 0.5)],
)
def test_warmup_stable_decay(shape, halfway):
  schedule = _create("warmup_stable_decay", decay_fraction=0.2, shape=shape)
  np.testing.assert_array_equal(_values(schedule)[W:801], np.float32(PEAK))
  assert float(schedule(900)) == pytest.approx(PEAK * halfway, rel=1e-6)
  assert float(schedule(T)) == pytest.approx(0, abs=1e-8)


def test_constant_is_the_peak():
  assert set(_values(_create("constant"))[W:]) == {np.float32(PEAK)}


def test_errors_name_the_remedy():
  with pytest.raises(ValueError, match="did you mean 'cosine'"):
    _create("cosin")
  with pytest.raises(ValueError, match="did you mean 'final_fraction'"):
    _create("cosine", final_fracton=0.1)
  with pytest.raises(ValueError, match="did you mean 'linear'"):
    _create("warmup_stable_decay", shape="liner")


def test_steps_that_leave_no_room_are_errors():
  with pytest.raises(ValueError, match="1000 steps does not fit before"):
    _create("cosine", warmup_steps=T)
  with pytest.raises(ValueError, match="at most the 900 steps after"):
    _create("warmup_stable_decay", decay_fraction=0.95)
  with pytest.raises(ValueError, match="at least 1"):
    _create("warmup_stable_decay", decay_fraction=0.0)


@pytest.mark.parametrize(
  "options",
  [
    {"factor": 0.1},
    {"boundaries": (0.5,), "every": 0.1},
    {"boundaries": (30, 60)},
    {"every": 2.4},
  ],
)
def test_staircase_explains_its_times(options):
  with pytest.raises(ValueError, match="either boundaries or every, as frac"):
    _create("staircase", **options)


def _exact(text):
  """The rational number that a text such as "2.4/350" is."""
  numerator, _, denominator = text.partition("/")
  return fractions.Fraction(numerator) / fractions.Fraction(denominator or 1)


@pytest.mark.parametrize(
  ("total_steps", "every"),
  [
    (12_345, "0.2"),
    (1000, "0.0024"),
    (1001, "1/7"),
    (350_000, "2.4/350"),
    (438_102, "2.4/350"),
    (997, "0.3"),
    (2**31 - 1, "0.1"),
    (3 * 2**24 + 1, "1/3"),
  ],
)
def test_regular_drops_come_at_the_exact_step(total_steps, every):
  """At the first step s with s >= k * every * T, in rational arithmetic."""
  schedule = jax.jit(
    _create("staircase", total_steps, 0, every=float(_exact(every)), factor=0.5)
  )
  period = _exact(every) * total_steps
  last = int(1 / _exact(every))
  for k in {1, 2, 3, last // 2, last - 1} - {0, -1}:
    drop = math.ceil(k * period)
    if drop >= total_steps:
      continue
    for step in (drop - 1, drop):
      expected = np.float32(PEAK * 0.5 ** (step // period))
      assert np.float32(schedule(step)) == expected, (k, step)


@pytest.mark.parametrize(
  ("total_steps", "time"),
  [(12_345, "0.2"), (90 * 5004, "30/90"), (2**31 - 1, "0.7"), (7, "0.35")],
)
def test_a_boundary_is_the_nearest_step(total_steps, time):
  schedule = _create(
    "staircase", total_steps, 0, boundaries=(float(_exact(time)),)
  )
  drop = round(_exact(time) * total_steps)
  for f in (schedule, jax.jit(schedule)):
    assert np.float32(f(drop - 1)) == np.float32(PEAK)
    assert np.float32(f(drop)) == np.float32(0.1 * PEAK)


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_a_compiled_step_has_the_rate_that_the_log_shows(name):
  """All 12,345 steps of a run; the staircase is equal to the last bit."""
  options = {"every": 0.2} if name == "staircase" else {}
  schedule = _create(name, 12_345, 100 if name in WARMED else 0, **options)
  compiled = jax.jit(jax.vmap(schedule))(jnp.arange(12_345))
  shown = np.float32([schedule(step) for step in range(0, 12_345, 823)])
  rtol = 0 if name in ("constant", "staircase") else 3e-7
  np.testing.assert_allclose(compiled[::823], shown, rtol=rtol)


@pytest.mark.parametrize("shape", ["linear", "cosine", "sqrt"])
def test_steps_beyond_2_to_the_24_are_distinct(shape):
  """Up to the last step, by the closed form in float64 of exact steps."""
  total = 2**31 - 1
  schedule = jax.jit(
    _create("warmup_stable_decay", total, 0, decay_fraction=1.0, shape=shape)
  )
  forms = {
    "linear": lambda r: r,
    "cosine": lambda r: math.sin(math.pi / 2 * r) ** 2,
    "sqrt": lambda r: r / (1 + math.sqrt(1 - r)),
  }
  for step in (2**24, 2**24 + 1, total // 2, total - 3, total - 2, total - 1):
    left = fractions.Fraction(total - step, total)
    expected = PEAK * forms[shape](float(left))
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-6)
  assert float(schedule(total - 1)) > 0


def test_a_long_warmup_has_every_step():
  schedule = jax.jit(_create("rsqrt", 2**31 - 1, 2**30))
  for step in (1, 3, 2**24 + 1, 2**30 - 1, 2**30):
    expected = PEAK * step / 2**30
    assert float(schedule(step)) == pytest.approx(expected, rel=2e-7)


@pytest.mark.parametrize(
  ("name", "options", "message"),
  [
    ("staircase", {"every": 1e-5}, "has 100,000 drops; give at least 0.0001"),
    ("staircase", {"every": -0.1}, "every is -0.1; it must be a number at"),
    ("staircase", {"every": "0.1"}, "every is '0.1'; it must be a number"),
    ("staircase", {"boundaries": 0.5}, r"boundaries is 0.5; .*as in \(0.5,\)"),
    ("staircase", {"boundaries": (0.5, True)}, r"boundaries\[1\] is True"),
    ("staircase", {"every": 0.1, "factor": -1}, "factor is -1; .*above 0"),
    ("cosine", {"final_fraction": "abc"}, "final_fraction is 'abc'; it must"),
    ("linear", {"final_fraction": -1}, "final_fraction is -1; it must"),
    ("rsqrt", {"timescale": 0}, "timescale is 0; it must be a number above 0"),
    ("warmup_stable_decay", {"decay_fraction": 2}, r"decay_fraction is 2; .*1"),
    ("warmup_stable_decay", {"shape": 3}, "shape is 3; it must be text"),
    ("one_cycle", {"shape": "cos"}, "shape is 'cos'; .* 'cosine', 'linear'"),
    ("one_cycle", {"rise": 2}, r"rise is 2; it must be a number in \[0, 1\]"),
    ("one_cycle", {"start_fraction": -1}, "start_fraction is -1; .*at least 0"),
  ],
)
def test_options_of_a_wrong_type_or_out_of_range_are_refused(
  name, options, message
):
  with pytest.raises(ValueError, match=message):
    _create(name, **options)


def test_a_run_shorter_than_its_drops_takes_several_at_a_step():
  """Every 1/40 of 20 steps: two drops in each step, as in a trial run."""
  rate = schedules.create(
    "staircase", peak=1.0, total_steps=20, every=1 / 40, factor=0.5
  )
  np.testing.assert_allclose(
    [rate(step) for step in range(4)], [1, 0.25, 0.0625, 0.015625], rtol=1e-6
  )


def one_cycle_of_torch(
  step, total, *, rise, div, final_div, shape, three_phase, peak=PEAK
):
  """OneCycleLR of torch 2.14.1, from its documentation, in float64."""
  start = peak / div
  final = start / final_div
  phases = [(rise * total - 1, start, peak), (total - 1, peak, final)]
  if three_phase:
    phases[1:] = [
      (2 * rise * total - 2, peak, start),
      (total - 1, start, final),
    ]
  begin = 0
  for end, first, last in phases:
    if step <= end or end == total - 1:
      part = (step - begin) / (end - begin)
      if shape == "linear":
        return first + (last - first) * part
      return last + (first - last) / 2 * (1 + math.cos(math.pi * part))
    begin = end


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize(
  ("total", "rise", "div", "final_div"),
  [
    (1000, 0.3, 25, 1e4),
    (937, 0.237, 10, 100),
    (20, 0.3, 4, 10),
    (7, 0.5, 2, 2),
  ],
)
def test_one_cycle_equals_the_formula_of_torch(
  total, rise, div, final_div, shape, three_phase
):
  options = {"rise": rise, "shape": shape, "three_phase": three_phase}
  schedule = _create(
    "one_cycle",
    total,
    0,
    start_fraction=1 / div,
    final_fraction=1 / div / final_div,
    **options,
  )
  expected = [
    one_cycle_of_torch(step, total, div=div, final_div=final_div, **options)
    for step in range(total)
  ]
  np.testing.assert_allclose(
    _values(schedule, total), expected, rtol=3e-6, atol=1e-9
  )
  assert float(schedule(total + 9)) == float(schedule(total - 1))


def test_the_defaults_of_one_cycle_are_those_of_torch():
  """Values of OneCycleLR(max_lr=0.3, total_steps=1000) of torch 2.14.1."""
  schedule = _create("one_cycle", warmup_steps=0)
  for step, rate in TORCH_VALUES.items():
    assert float(schedule(step)) == pytest.approx(rate, rel=2e-6)


def test_one_cycle_of_a_long_run_has_every_step():
  total = 2**31 - 1
  schedule = jax.jit(_create("one_cycle", total, 0, shape="linear"))
  top = fractions.Fraction(3, 10) * total - 1
  for step in (1, 2**24 + 1, math.floor(top), math.ceil(top), total - 2):
    rising = step <= top
    part = step / top if rising else (total - 1 - step) / (total - 1 - top)
    low = 0.04 if rising else 4e-6
    expected = PEAK * (low + (1 - low) * float(part))
    assert float(schedule(step)) == pytest.approx(expected, rel=3e-7)
  assert float(schedule(total - 1)) == pytest.approx(4e-6 * PEAK, rel=1e-6)


def test_one_cycle_without_room_is_an_error():
  with pytest.raises(
    ValueError, match="and the warm-up has 100 steps; set sch"
  ):
    _create("one_cycle")
  for total, options in [
    (3, {}),
    (T, {"rise": 0.0}),
    (T, {"rise": 1.0}),
    (T, {"rise": 0.6, "three_phase": True}),
  ]:
    with pytest.raises(ValueError, match="leaves no step for a phase; it must"):
      _create("one_cycle", total, 0, **options)
