"""Process settings for XLA and libtpu; the user's settings have priority."""

import ctypes
import glob
import importlib.util
import mmap
import os
import pathlib
import platform

_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/accel[0-9]*", "/dev/kfd")
_TPUS = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
# Environment of libtpu without a TPU: no metadata server, no lock on a chip.
WITHOUT_TPU = {
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
  "TPU_ACCELERATOR_TYPE": "v5litepod-16",
  "TPU_MIN_LOG_LEVEL": "3",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_STDERR_LOG_LEVEL": "3",
  "TPU_WORKER_HOSTNAMES": "localhost",
}
_FLAGS = (
  # Single convolutions use the path with faster gradients.
  "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution",
  # Keeps optimization barriers until operations are fused (layers/barriers.py).
  "--xla_disable_hlo_passes=cse_barrier_expander",
  # Virtual devices wait for each other. After 40 s, the default, XLA ends the
  # process, which happened on a machine with other load.
  "--xla_cpu_collective_call_terminate_timeout_seconds=600",
)
# Threads for each virtual device. A collective blocks its thread, and XLA:CPU
# begins independent collectives in any order. With too few threads, one device
# waits in the first and the others in the second, forever.
_THREADS = 8
# glibc's malloc.h: parameter -> value.
_MALLOC = {
  -4: 0,  # M_MMAP_MAX: no separate mmap for large arrays
  -1: 2**31 - 1,  # M_TRIM_THRESHOLD: freed memory is not returned
  -8: 1,  # M_ARENA_MAX: one arena for all threads
}


def tune_cpu() -> None:
  """Makes XLA:CPU a third faster; call it before jax computes anything.

  The commands call it. On a machine with an accelerator it does nothing. It
  sets, unless the user has set them:

  - XLA_FLAGS: single convolutions are not fused, barriers are kept, and virtual
    devices wait longer for each other, if the installed jaxlib has these flags.
    XLA_FLAGS of the user, even an empty one, is not changed.
  - PJRT_NPROC, the number of XLA's threads: enough for the collectives of the
    virtual devices that JAX_NUM_CPU_DEVICES asks for.
  - glibc's allocator: it keeps the memory that XLA frees after each step, so
    the next step has no page faults. This needs up to a third more memory. It
    is not changed if the user sets GLIBC_TUNABLES or any MALLOC_... variable.
  """
  if not _is_cpu():
    return
  if "XLA_FLAGS" not in os.environ:
    known = [flag for flag in _FLAGS if _jaxlib_contains(_name(flag))]
    os.environ["XLA_FLAGS"] = " ".join(known)
  devices = os.environ.get("JAX_NUM_CPU_DEVICES", "")
  if devices.isdecimal() and int(devices) > 1 and "NPROC" not in os.environ:
    os.environ.setdefault("PJRT_NPROC", str(_THREADS * int(devices)))
  chosen = [name for name in os.environ if name.startswith("MALLOC_")]
  if not chosen and "GLIBC_TUNABLES" not in os.environ:
    _keep_freed_memory()


def _is_cpu() -> bool:
  if platforms := os.environ.get("JAX_PLATFORMS"):
    return platforms == "cpu"
  return not accelerator_files()


def accelerator_files() -> list[str]:
  """Returns the device files of this machine's accelerators, sorted."""
  return sorted(f for pattern in _ACCELERATORS for f in glob.glob(pattern))


def _name(flag: str) -> str:
  return flag.partition("=")[0].removeprefix("--")


def _jaxlib_contains(flag: str) -> bool:
  """Whether XLA has a flag; an unknown flag would end the process."""
  folder = pathlib.Path(importlib.util.find_spec("jaxlib").origin).parent
  for library in folder.glob("lib*.so"):
    with (
      library.open("rb") as file,
      mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
      if content.find(flag.encode()) >= 0:
        return True
  return False


def _keep_freed_memory() -> None:
  if platform.libc_ver()[0] != "glibc":
    return
  mallopt = ctypes.CDLL(None).mallopt
  for parameter, value in _MALLOC.items():
    mallopt(parameter, value)


def quiet_libtpu() -> None:
  """Prevents libtpu from searching for a TPU on a machine without one.

  If libtpu is installed, as for `jaxvision plan`, jax starts it, and it prints
  warnings about missing hosts. This does nothing if the machine may have a TPU
  or libtpu is not installed. Call it before jax computes anything.
  """
  if importlib.util.find_spec("libtpu") is None or _may_have_tpu():
    return
  for key, value in WITHOUT_TPU.items():
    os.environ.setdefault(key, value)


def _may_have_tpu() -> bool:
  if "tpu" in os.environ.get("JAX_PLATFORMS", ""):
    return True
  if "JAX_FORCE_TPU_INIT" in os.environ:
    return True
  if any(glob.glob(pattern) for pattern in _TPUS):
    return True
  return any(map(_is_of_google, glob.glob("/sys/bus/pci/devices/*")))


def _is_of_google(device: str) -> bool:
  """Whether a PCI device is Google's, but not a network card or a disk."""
  try:
    vendor, kind = (
      pathlib.Path(device, name).read_text().strip()
      for name in ("vendor", "device")
    )
  except OSError:
    return False
  return vendor == "0x1ae0" and kind not in ("0x0042", "0x001f")
