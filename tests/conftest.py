"""The setup of all tests: eight virtual devices, strict shapes, one cache."""

import collections
import gc
import importlib.metadata
import logging
import os
import pathlib
import sys

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
# Enough threads for their collectives, as in jaxvision/xla/settings.py.
os.environ.setdefault("PJRT_NPROC", "64")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("MPLBACKEND", "agg")
# The workers of pytest share the cores: a BLAS with threads of its own spins.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
  os.environ.setdefault(_name, "1")
_JAXLIB = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))
# Barriers hold, as in the commands (jaxvision/xla/settings.py). Compilation
# takes most of the time of the tests, so they do without LLVM's optimisation,
# MLIR's emitters and parallel code generation. `make test-slow` has all three.
os.environ.setdefault(
  "XLA_FLAGS",
  "--xla_disable_hlo_passes=cse_barrier_expander "
  "--xla_cpu_collective_call_terminate_timeout_seconds=600 "
  "--xla_backend_optimization_level=0 "
  "--xla_cpu_parallel_codegen_split_count=1"
  # jaxlib 0.12 does not know this flag and ends the process.
  + (" --xla_cpu_use_fusion_emitters=false" if _JAXLIB == (0, 10) else ""),
)
# Other files of the user account are kept separately for the tests.
os.environ.setdefault(
  "XDG_CACHE_HOME", str(pathlib.Path(__file__).parents[1] / ".cache" / "xdg")
)
# One compilation cache for all workers and all runs of the tests.
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR",
  str(pathlib.Path(__file__).parents[1] / ".cache" / "jax"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Marks the cases that repeat a proof as slow.

  `@pytest.mark.matrix("linear", "vit_ti16")` keeps the cases with one of these
  values in the default run; `@pytest.mark.matrix(every=4)` keeps each fourth
  case. `make test-slow` runs the others.
  """
  seen, default = collections.Counter(), collections.Counter()
  for item in items:
    marker = item.get_closest_marker("matrix")
    if marker is None:
      continue
    function = item.nodeid.partition("[")[0]
    values = item.nodeid[len(function) + 1 : -1].split("-")
    number, seen[function] = seen[function], seen[function] + 1
    every = marker.kwargs.get("every")
    kept = bool(number % every == 0 if every else {*marker.args} & {*values})
    default[function] += kept
    if not kept:
      item.add_marker("slow")
  if lost := [each for each in seen if seen[each] > 1 and not default[each]]:
    raise pytest.UsageError(f"no case of {lost} has a value of its matrix")


@pytest.fixture(autouse=True)
def _screen_as_before():
  """Undoes the logging setup of a command, so that `caplog` sees all."""
  ours, absl = logging.getLogger("jaxvision"), logging.getLogger("absl")
  levels, hook = (ours.level, absl.level), sys.unraisablehook
  yield
  ours.handlers.clear()
  ours.propagate = True
  ours.setLevel(levels[0])
  absl.setLevel(levels[1])
  sys.unraisablehook = hook


@pytest.fixture(scope="module", autouse=True)
def _collections_see_new_objects_only():
  """A worker has millions of objects, and a full collection takes seconds."""
  gc.collect()
  gc.freeze()


@pytest.fixture(scope="session")
def compiled():
  """The list of compilations, from a listener of jax."""
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
