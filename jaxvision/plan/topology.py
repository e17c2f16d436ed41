"""Devices that are not here: a slice of TPUs, or virtual ones of the CPU.

  v5e:16x16      256 chips of a TPU v5e
  2xv5e:16x16    two slices of them, joined by the data centre's network
  cpu:8          eight virtual devices of this machine's CPU

The compiler of TPUs is `libtpu`, a package that needs no TPU to compile.
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

# Of v4 libtpu only knows halves of chips, of v2 and v3 nothing.
_TPUS = {"v5e": "4x4", "v5p": "2x2x2", "v6e": "4x4"}


def devices(name: str) -> Sequence[jax.Device]:
  """Returns the devices of a topology; call it before jax has started.

  They can be compiled for, not computed on. Starts jax on this machine's CPU,
  whatever else it has.

  Raises:
    ValueError: there is no such topology; jax has started with fewer devices
      of the CPU; or libtpu is not as `version` wants it.
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
      f"libtpu knows no topology {name!r} ({reason}); a slice of {kind} is "
      f"written {kind}:{_TPUS[kind]}, its sides 2, 4, 8, 16, ..."
    ) from error


def parse(name: str) -> tuple[str, int, str]:
  """Returns ("v5e", 2, "16x16") of "2xv5e:16x16", ("cpu", 1, "8") of "cpu:8".

  Raises:
    ValueError: it is written in another way, or the kind is not known.
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
      f"topology {name!r} is not of {axes} sides, as {example} is"
    )
  return kind, int(slices or 1), shape


def version() -> str:
  """The version of libtpu.

  Raises:
    ValueError: it is not installed, or jax wants another one.
  """
  wanted = _wanted()
  remedy = f"pip install 'libtpu{wanted}'"
  if importlib.util.find_spec("libtpu") is None:
    raise ValueError(
      "to compile for TPUs takes their compiler, libtpu, which is not "
      f"installed: {remedy}, or pip install 'jaxvision[tpu-plan]'"
    )
  found = importlib.metadata.version("libtpu")
  if not fnmatch.fnmatch(found, wanted.removeprefix("==") or "*"):
    jax_version = importlib.metadata.version("jax")
    raise ValueError(
      f"libtpu {found} is installed, but jax {jax_version} wants libtpu"
      f"{wanted}: {remedy}"
    )
  return found


def _wanted() -> str:
  """The version of libtpu that jax[tpu] pins, as "==0.0.42.*"."""
  for requirement in importlib.metadata.requires("jax") or ():
    if found := re.match(r"libtpu\s*(==[\w.*]+)", requirement):
      return found[1]
  return ""


def _start_on_cpu(count: int) -> None:
  """Starts jax on the CPU, with so many devices unless it has started."""
  try:
    jax.config.update("jax_num_cpu_devices", count)
    jax.config.update("jax_platforms", "cpu")
  except RuntimeError:
    pass  # It has started, with what devices it has.


def _cpus(count: int) -> Sequence[jax.Device]:
  _start_on_cpu(count)
  found = jax.devices("cpu")
  if len(found) < count:
    raise ValueError(
      f"cpu:{count} needs {count} devices of the CPU, but jax has started with "
      f"{len(found)}; plan in a process of its own, or set "
      f"JAX_NUM_CPU_DEVICES={count}"
    )
  return found[:count]
