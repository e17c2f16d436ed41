"""Tests of jaxvision.config.durations: a config's durations, all in steps."""

import pytest
import tiny_runs

from jaxvision.config import durations


@pytest.fixture
def convert(tmp_path):
  tiny_runs.write_data(tmp_path)

  def converted(**overrides):
    config = tiny_runs.load_config(tmp_path, **overrides)
    return durations.convert(config, num_examples=1000)

  return converted


def test_every_duration_is_in_steps(convert):
  found = convert(
    train__duration="4 epochs",
    train__batch_size=40,
    schedule__warmup="5 percent",
    evaluate__every="800 examples",
    checkpoint__every="1 epochs",
    log__every="3 steps",
  )
  assert found == durations.Durations(
    total=100, warmup=5, evaluate=20, checkpoint=25, log=3
  )


def test_an_interval_of_0_means_once_at_the_end(convert):
  found = convert(
    train__duration="7 steps", evaluate__every="0", checkpoint__every="0"
  )
  assert (found.evaluate, found.checkpoint) == (7, 7)


def test_intervals_are_rounded_up_to_compiled_calls(convert):
  found = convert(
    train__duration="10 steps",
    train__steps_per_dispatch=4,
    log__every="5 steps",
    schedule__warmup="5 steps",
  )
  assert (found.total, found.log, found.warmup) == (12, 8, 5)


def test_less_than_one_step_is_an_error(convert):
  with pytest.raises(ValueError, match="is less than a step; give at least"):
    convert(train__duration="0 epochs")


@pytest.mark.parametrize("total", [50, 60, 120, 999, 2_500, 40_000, 1_000_000])
@pytest.mark.parametrize("warmup", ["0", "5 percent", "20 steps"])
def test_the_default_log_interval_shows_the_run_and_its_warm_up(
  convert, total, warmup
):
  found = convert(
    train__duration=f"{total} steps", schedule__warmup=warmup, log__every=""
  )
  assert found.log <= 50
  assert total // found.log >= 50
  assert total // found.log <= max(1000, total // 50, 99)
  # Also where it is a thousandth of the run.
  assert found.warmup // found.log >= min(found.warmup, 5) or (
    found.warmup < total // 200
  )


def test_the_default_log_interval_may_be_shorter_than_a_call(convert):
  more = {"train__steps_per_dispatch": 8, "log__every": ""}
  assert convert(train__duration="1200 steps", **more).log == 24
  assert convert(train__duration="80 steps", **more).log == 1


def test_a_configured_log_interval_is_kept(convert):
  for text in ("50 steps", "400 steps", "20 percent"):
    found = convert(train__duration="500 steps", log__every=text)
    assert found.log == {"5": 50, "4": 400, "2": 100}[text[0]]
