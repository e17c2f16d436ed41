"""Tests of jaxvision.durations: a config's durations, all in steps."""

import pytest
import tiny_runs

from jaxvision import durations


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


def test_what_happens_never_happens_at_the_end(convert):
  found = convert(
    train__duration="7 steps", evaluate__every="0", checkpoint__every="0"
  )
  assert (found.evaluate, found.checkpoint) == (7, 7)


def test_what_recurs_does_so_between_compiled_calls(convert):
  found = convert(
    train__duration="10 steps",
    train__steps_per_dispatch=4,
    log__every="5 steps",
    schedule__warmup="5 steps",
  )
  assert (found.total, found.log, found.warmup) == (12, 8, 5)


def test_no_step_at_all_is_an_error(convert):
  with pytest.raises(ValueError, match="no step at all; give at least"):
    convert(train__duration="0 epochs")
