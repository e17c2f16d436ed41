"""Topologies: TPU slices that this machine lacks, or virtual CPU devices.

  v5e:16x16      256 chips of TPU v5e
  2xv5e:16x16    two such slices, connected by the data centre's network
  cpu:8          eight virtual devices of this machine's CPU

The package `libtpu` is the compiler for TPUs. It needs no TPU to compile.
"""

import fnmatch
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Sequence

import jax
from jax.experimental import topologies

from jaxvision import lookup
from jaxvision.xla import settings

# libtpu supports v4 only as half chips, and does not support v2 and v3.
_TPUS = {"v5e": "4x4", "v5p": "2x2x2", "v6e": "4x4"}


def devices(name: str) -> Sequence[jax.Device]:
  """Returns the devices of a topology; call it before jax has started.

  The devices are for compilation only. This starts jax on the CPU, even on a
  machine with accelerators.

  Raises:
    ValueError: the topology is unknown; jax has started with fewer CPU devices;
      or libtpu is missing or has another version.
  """
  kind, slices, shape = parse(name)
  if kind == "cpu":
    return _cpus(int(shape))
  version()
  for key, value in settings.WITHOUT_TPU.items():
    os.environ.setdefault(key, value)
  _start_on_cpu(1)
  several = {"num_slices": slices} if slices > 1 else {}
  try:
    return topologies.get_topology_desc(
      f"{kind}:{shape}", platform="tpu", **several
    ).devices
  except jax.errors.JaxRuntimeError as error:
    reason = str(error).splitlines()[0]
    raise ValueError(
      f"libtpu does not know the topology {name!r} ({reason}); write a slice "
      f"of {kind} as {kind}:{_TPUS[kind]}, with sides of 2, 4, 8, 16, ..."
    ) from error


def parse(name: str) -> tuple[str, int, str]:
  """Parses "2xv5e:16x16" to ("v5e", 2, "16x16"), "cpu:8" to ("cpu", 1, "8").

  Raises:
    ValueError: the syntax is wrong, or the kind is unknown.
  """
  slices, kind, shape = re.fullmatch(
    r"(?:(\d+)x)?([^:]*):?(.*)", name, re.DOTALL
  ).groups()
  if kind not in (*_TPUS, "cpu"):
    raise ValueError(
      lookup.unknown("kind of topology", kind, (*_TPUS, "cpu"))
      + "; write v5e:4x4 for 16 chips, cpu:8 for 8 devices"
    )
  axes = 1 if kind == "cpu" else _TPUS[kind].count("x") + 1
  example = "cpu:8" if kind == "cpu" else f"{kind}:{_TPUS[kind]}"
  is_shape = re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape)
  if not is_shape or shape.count("x") + 1 != axes or (slices and axes == 1):
    raise ValueError(
      f"topology {name!r}: give a shape with {axes} sides, as {example}"
    )
  return kind, int(slices or 1), shape


def version() -> str:
  """The version of libtpu.

  Raises:
    ValueError: it is not installed, or jax needs another version.
  """
  required = _required()
  remedy = f"pip install 'libtpu{required}'"
  if importlib.util.find_spec("libtpu") is None:
    raise ValueError(
      "compiling for TPUs needs libtpu, which is not installed: "
      f"{remedy}, or pip install 'jaxvision[tpu-plan]'"
    )
  found = importlib.metadata.version("libtpu")
  if not fnmatch.fnmatch(found, required.removeprefix("==") or "*"):
    jax_version = importlib.metadata.version("jax")
    raise ValueError(
      f"libtpu {found} is installed, but jax {jax_version} needs libtpu"
      f"{required}: {remedy}"
    )
  return found


def _required() -> str:
  """The version of libtpu that jax[tpu] pins, as "==0.0.42.*"."""
  for requirement in importlib.metadata.requires("jax") or ():
    if found := re.match(r"libtpu\s*(==[\w.*]+)", requirement):
      return found[1]
  return ""


def _start_on_cpu(count: int) -> None:
  """Starts jax on the CPU with `count` devices, unless it has started."""
  try:
    jax.config.update("jax_num_cpu_devices", count)
    jax.config.update("jax_platforms", "cpu")
  except RuntimeError:
    pass  # It has started already.


def _cpus(count: int) -> Sequence[jax.Device]:
  _start_on_cpu(count)
  found = jax.devices("cpu")
  if len(found) < count:
    raise ValueError(
      f"cpu:{count} needs {count} CPU devices, but jax has started with "
      f"{len(found)}; plan in a new process, or set "
      f"JAX_NUM_CPU_DEVICES={count}"
    )
  return found[:count]
