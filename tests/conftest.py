"""What all tests share: eight virtual devices, strict shapes, one cache."""

import logging
import os
import pathlib
import sys

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("MPLBACKEND", "agg")
# As the commands run, barriers hold (jaxvision/xla/settings.py). Compiling is
# most of the time of the tests, and LLVM's optimisation half of that: only
# `make test-slow` has it.
os.environ.setdefault(
  "XLA_FLAGS",
  "--xla_disable_hlo_passes=cse_barrier_expander "
  "--xla_backend_optimization_level=0",
)
# What else is kept for an account is kept for the tests apart.
os.environ.setdefault(
  "XDG_CACHE_HOME", str(pathlib.Path(__file__).parents[1] / ".cache" / "xdg")
)
# One compilation cache for all workers and all runs of the tests.
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR",
  str(pathlib.Path(__file__).parents[1] / ".cache" / "jax"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(autouse=True)
def _screen_as_before():
  """Undoes what a command does to logging, so that `caplog` sees all."""
  ours, absl = logging.getLogger("jaxvision"), logging.getLogger("absl")
  levels, hook = (ours.level, absl.level), sys.unraisablehook
  yield
  ours.handlers.clear()
  ours.propagate = True
  ours.setLevel(levels[0])
  absl.setLevel(levels[1])
  sys.unraisablehook = hook


@pytest.fixture(scope="session")
def compiled():
  """The compilations so far, by a listener that jax calls at each."""
  import jax
  import numpy as np

  events = []

  def listen(event, duration, **_):
    if event.endswith("backend_compile_duration"):
      events.append(duration)

  jax.monitoring.register_event_duration_secs_listener(listen)
  jax.jit(lambda x: x + 12345)(np.ones(3))
  assert len(events) == 1, "jax calls its event otherwise; nothing is tested"
  return events
