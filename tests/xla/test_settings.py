"""Settings of the process: the cache and the CPU, never over the user's."""

import os
import subprocess
import sys

import jax
import pytest

from jaxvision.xla import cache, settings

_NAMES = (
  "jax_compilation_cache_dir",
  "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture
def options():
  """The options of jax by name, as they are now; restored after the test."""
  before = {name: getattr(jax.config, name) for name in _NAMES}
  yield lambda: tuple(getattr(jax.config, name) for name in _NAMES)
  for name, value in before.items():
    jax.config.update(name, value)


def _forget(monkeypatch):
  """As if the user had chosen nothing."""
  monkeypatch.delenv(_NAMES[1].upper(), raising=False)
  jax.config.update(_NAMES[0], None)
  jax.config.update(_NAMES[1], 1.0)


def test_a_chosen_directory_stays(options):
  before = options()
  assert before[0] is not None
  cache.cache_compilations()
  assert options() == before


def test_programs_go_to_the_cache_of_the_user(options, monkeypatch, tmp_path):
  _forget(monkeypatch)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  cache.cache_compilations()
  assert options() == (str(tmp_path / "jaxvision" / "compiled"), 0.0)


def test_without_xdg_it_is_dot_cache(options, monkeypatch, tmp_path):
  _forget(monkeypatch)
  monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  cache.cache_compilations()
  directory = str(tmp_path / ".cache" / "jaxvision" / "compiled")
  assert options()[0] == directory


def test_a_chosen_least_time_stays(options, monkeypatch, tmp_path):
  _forget(monkeypatch)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  monkeypatch.setenv(_NAMES[1].upper(), "1.0")
  cache.cache_compilations()
  assert options()[1] == 1.0


FLAGS = (
  "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution "
  "--xla_disable_hlo_passes=cse_barrier_expander"
)
TUNE = """
import os
from jaxvision import startup
called = []
startup._keep_freed_memory = lambda: called.append(1)
startup.tune_cpu()
import os
import subprocess
import sys

import jax
assert jax.jit(lambda x: x + 1)(1) == 2
print(os.environ.get("XLA_FLAGS"), len(called))
"""


def _tuned(**environment):
  """What a fresh process prints whose user has chosen nothing but this."""
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


def test_cpu_is_tuned_where_nothing_was_chosen():
  """The installed XLA knows the flags: one that it does not know aborts."""
  assert _tuned() == f"{FLAGS} 1"


@pytest.mark.parametrize(
  "chosen, expected",
  [
    ({"XLA_FLAGS": ""}, " 1"),
    ({"MALLOC_ARENA_MAX": "4"}, f"{FLAGS} 0"),
    ({"GLIBC_TUNABLES": ""}, f"{FLAGS} 0"),
  ],
  ids=str,
)
def test_what_the_user_chose_stays(chosen, expected):
  assert _tuned(**chosen) == expected.strip()


def test_nothing_is_done_beside_an_accelerator(monkeypatch):
  monkeypatch.delenv("JAX_PLATFORMS", raising=False)
  monkeypatch.delenv("XLA_FLAGS", raising=False)
  monkeypatch.setattr(settings, "accelerator_files", lambda: ["/dev/nvidia0"])
  settings.tune_cpu()
  assert "XLA_FLAGS" not in os.environ


def test_flag_that_jaxlib_does_not_have_is_not_set():
  assert not settings._jaxlib_contains("xla_cpu_no_such_flag_of_any_version")


def test_freed_memory_is_kept():
  """The second run over the same amount of memory faults no page in."""
  code = """
import resource
from jaxvision import startup
startup._keep_freed_memory()
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
