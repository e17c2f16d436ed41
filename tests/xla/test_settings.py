"""Tests of jaxvision.xla.settings: the user's own settings are kept."""

import os
import pathlib
import subprocess
import sys

import pytest

from jaxvision.xla import settings

FLAGS = (
  "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution "
  "--xla_disable_hlo_passes=cse_barrier_expander "
  "--xla_cpu_collective_call_terminate_timeout_seconds=600"
)


TUNE = """
import os
from jaxvision.xla import settings
called = []
settings._keep_freed_memory = lambda: called.append(1)
settings.tune_cpu()
import jax
assert jax.jit(lambda x: x + 1)(1) == 2
print(os.environ.get("XLA_FLAGS"), len(called))
"""


def _tuned(**environment):
  """The output of a new process with only these settings of the user."""
  kept = {
    name: value
    for name, value in os.environ.items()
    if name not in ("XLA_FLAGS", "GLIBC_TUNABLES")
    and not name.startswith("MALLOC_")
  }
  done = subprocess.run(
    [sys.executable, "-c", TUNE],
    env=kept | environment,
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout.strip()


def test_cpu_is_tuned_without_user_settings():
  """The installed XLA has the flags: an unknown flag aborts."""
  assert _tuned() == f"{FLAGS} 1"


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize(
  "chosen, expected",
  [
    ({"XLA_FLAGS": ""}, " 1"),
    ({"MALLOC_ARENA_MAX": "4"}, f"{FLAGS} 0"),
    ({"GLIBC_TUNABLES": ""}, f"{FLAGS} 0"),
  ],
  ids=str,
)
def test_settings_of_the_user_are_kept(chosen, expected):
  assert _tuned(**chosen) == expected.strip()


@pytest.mark.parametrize(
  ("given", "threads"),
  [
    ({}, "None"),
    ({"JAX_NUM_CPU_DEVICES": "1"}, "None"),
    ({"JAX_NUM_CPU_DEVICES": "4"}, "32"),
    ({"JAX_NUM_CPU_DEVICES": "4", "PJRT_NPROC": "5"}, "5"),
    ({"JAX_NUM_CPU_DEVICES": "4", "NPROC": "5"}, "None"),
  ],
)
def test_virtual_devices_have_threads_to_wait_in(monkeypatch, given, threads):
  for name in ("JAX_NUM_CPU_DEVICES", "PJRT_NPROC", "NPROC"):
    monkeypatch.delenv(name, raising=False)
  for name, value in given.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv("XLA_FLAGS", "")
  monkeypatch.setattr(settings, "_keep_freed_memory", lambda: None)
  settings.tune_cpu()
  assert str(os.environ.get("PJRT_NPROC")) == threads


def test_xla_has_as_many_threads_as_asked():
  code = """
import os, pathlib, jax
jax.jit(lambda x: x @ x)(jax.numpy.ones((300, 300))).block_until_ready()
names = [p.read_text() for p in pathlib.Path("/proc/self/task").glob("*/comm")]
print(sum("XLAEigen" in each for each in names))
"""
  if not pathlib.Path("/proc/self/task").exists():
    pytest.skip("threads have no names here")
  environment = {**os.environ, "PJRT_NPROC": "24", "JAX_NUM_CPU_DEVICES": "2"}
  done = subprocess.run(
    [sys.executable, "-c", code],
    env=environment,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split() == ["24"]


def test_nothing_is_done_beside_an_accelerator(monkeypatch):
  monkeypatch.delenv("JAX_PLATFORMS", raising=False)
  monkeypatch.delenv("XLA_FLAGS", raising=False)
  monkeypatch.setattr(settings, "accelerator_files", lambda: ["/dev/nvidia0"])
  settings.tune_cpu()
  assert "XLA_FLAGS" not in os.environ


def test_flag_that_jaxlib_does_not_have_is_not_set():
  assert not settings._jaxlib_contains("xla_cpu_no_such_flag_of_any_version")


def test_freed_memory_is_kept():
  """A second use of the same amount of memory has no page faults."""
  code = """
import resource
from jaxvision.xla import settings
settings._keep_freed_memory()
import numpy as np
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
  before = faults()
  np.ones(30_000_000)
print(faults() - before)
"""
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert int(done.stdout) < 1000  # of 58,594 pages


@pytest.fixture
def libtpu(monkeypatch):
  """An installed libtpu on a machine without TPU; a function changes both."""

  def settle(*, installed=True, devices=(), vendor="0x8086", kind="0x0042"):
    for name in (*settings.WITHOUT_TPU, "JAX_PLATFORMS", "JAX_FORCE_TPU_INIT"):
      monkeypatch.delenv(name, raising=False)
    found = {f"/dev/{each[:-1]}[0-9]*": [each] for each in devices}
    found["/sys/bus/pci/devices/*"] = ["/sys/bus/pci/devices/0"]
    known = {"vendor": vendor, "device": kind}
    monkeypatch.setattr(
      settings.importlib.util, "find_spec", lambda name: installed or None
    )
    monkeypatch.setattr(settings.glob, "glob", lambda key: found.get(key, []))
    monkeypatch.setattr(
      settings.pathlib.Path, "read_text", lambda self: known[self.name]
    )

  settle()
  return settle


def _hostnames():
  settings.quiet_libtpu()
  return os.environ.get("TPU_WORKER_HOSTNAMES")


def test_libtpu_is_told_that_there_is_no_tpu(libtpu, monkeypatch):
  assert _hostnames() == "localhost"
  libtpu(vendor="0x1ae0")  # the network card of a machine at Google
  assert _hostnames() == "localhost"
  libtpu()
  monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "ten,eleven")
  assert _hostnames() == "ten,eleven"


@pytest.mark.parametrize(
  "machine",
  [
    {"installed": False},
    {"devices": ("accel0",)},
    {"devices": ("vfio/0",)},
    {"vendor": "0x1ae0", "kind": "0x0063"},
  ],
  ids=str,
)
def test_a_machine_that_may_have_a_tpu_is_left_alone(machine, libtpu):
  libtpu(**machine)
  assert _hostnames() is None


@pytest.mark.parametrize("name", ["JAX_PLATFORMS", "JAX_FORCE_TPU_INIT"])
def test_a_user_who_wants_a_tpu_is_left_alone(name, libtpu, monkeypatch):
  monkeypatch.setenv(name, "tpu,cpu")
  assert _hostnames() is None
