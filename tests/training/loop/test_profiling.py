"""Traces of steps without computation."""

import jax
import jax.numpy as jnp
import pytest

from jaxvision.training.loop import profiling


def test_steps_as_text():
  assert profiling.parse("steps=10:15") == range(10, 15)


@pytest.mark.parametrize(
  "text", ["10:15", "steps=15:10", "steps=5:5", "steps=a:b", ""]
)
def test_text_without_a_range_of_steps_is_an_error(text):
  with pytest.raises(ValueError, match="--profile steps=10:15"):
    profiling.parse(text)


@pytest.fixture
def traces(monkeypatch):
  """The calls of the profiler."""
  asked = []
  monkeypatch.setattr(jax.profiler, "start_trace", lambda _: asked.append("on"))
  monkeypatch.setattr(jax.profiler, "stop_trace", lambda: asked.append("off"))
  return asked


def _run(asked, folder, *, first, block, calls, steps):
  """Takes steps; records the first step of each call among the calls."""

  def step(state, batch):
    asked.append(int(state))
    return state + block, {"loss": state}

  with profiling.traced(
    step, steps=steps, first=first, block=block, folder=folder
  ) as step:
    state = jnp.asarray(first)
    for _ in range(calls):
      state, _ = step(state, None)
  return asked


def test_without_steps_the_step_is_as_it_was(traces, tmp_path):
  def step(state, batch):
    raise AssertionError

  nothing = {"steps": range(0), "first": 0, "block": 1, "folder": tmp_path}
  with profiling.traced(step, **nothing) as given:
    assert given is step
  assert not traces


def test_these_steps_are_traced_and_no_others(traces, tmp_path):
  asked = _run(traces, tmp_path, first=0, block=1, calls=6, steps=range(2, 4))
  assert asked == [0, 1, "on", 2, 3, "off", 4, 5]


def test_calls_are_traced_whole(traces, tmp_path):
  asked = _run(traces, tmp_path, first=0, block=4, calls=4, steps=range(5, 9))
  assert asked == [0, "on", 4, 8, "off", 12]


def test_a_run_that_goes_on_after_them_traces_nothing(traces, tmp_path):
  asked = _run(traces, tmp_path, first=20, block=1, calls=2, steps=range(2, 4))
  assert asked == [20, 21]


def test_a_run_that_begins_among_them_or_ends_traces_the_rest(traces, tmp_path):
  asked = _run(traces, tmp_path, first=3, block=1, calls=2, steps=range(2, 9))
  assert asked == ["on", 3, 4, "off"]


def test_a_real_trace_has_the_steps(tmp_path):
  add = jax.jit(lambda state, batch: (state + batch, {"loss": state}))
  with profiling.traced(
    add, steps=range(1, 3), first=0, block=1, folder=tmp_path
  ) as step:
    state = jnp.zeros(())
    for _ in range(4):
      state, _ = step(state, 1.0)
  (trace,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")
  content = trace.read_bytes()
  assert b"train" in content
  assert float(state) == 4
