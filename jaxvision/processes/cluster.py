"""Starts the processes of a run as one: who they are, and how they end.

A run may have many processes, usually one per host. Each is told its number and
the address of process 0, from the first of these that is there:

  JAXVISION_COORDINATOR (host:port), JAXVISION_NUM_PROCESSES and
  JAXVISION_PROCESS_ID, as `jaxvision launch local` sets them
  MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK, as torchrun calls them
  what jax itself finds: SLURM, Open MPI, Cloud TPU, GKE, Kubernetes

A process that fails takes the others with it, for none can go on alone: see
`leave`. JAXVISION_START_TIMEOUT (300) is how many seconds all have to appear,
JAXVISION_HEARTBEAT_TIMEOUT (30) how long one may be silent before the others
take it for dead and end with SIGABRT.
"""

import contextlib
import dataclasses
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import jax

from jaxvision.processes import exit_codes, rendezvous

_OUR_OWN = (
  "JAXVISION_COORDINATOR",
  "JAXVISION_NUM_PROCESSES",
  "JAXVISION_PROCESS_ID",
)
_ADDRESS = "JAX_COORDINATOR_ADDRESS"
_TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
# What the collectives of CPUs, GPUs and TPUs say when another process is gone.
_OTHERS_GONE = re.compile(
  "Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED|by peer|"
  "coordination service"
)
# Waiting at the end for those that are still writing the report.
_SHUTDOWN_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a process stands among those of its run.

  Attributes:
    address: "host:port" of process 0.
    count: how many processes there are.
    process: the number of this one.
    devices: the numbers of this host's devices that are its own; None is all.
  """

  address: str
  count: int
  process: int
  devices: Sequence[int] | None = None


def start() -> None:
  """Makes this process one of those of its run; call it before using a device.

  Does nothing where one process is meant, or where jax is told already.

  Raises:
    roll_call.Missing: some did not come in time; names them.
    ValueError: the variables contradict each other, or jax is in use already.
    OSError: process 0 cannot listen at its address.
  """
  if jax.distributed.is_initialized():
    return
  place = find(os.environ)
  if place is None or place.count == 1:
    return
  rendezvous.answer(
    place.address,
    process=place.process,
    count=place.count,
    timeout=_seconds("JAXVISION_START_TIMEOUT", 300),
  )
  host, _ = rendezvous.split(place.address)
  bound = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS")
  if rendezvous.is_loopback(host):
    bound = bound or place.address
  with _too_late_explained():
    jax.distributed.initialize(
      place.address,
      place.count,
      place.process,
      place.devices,
      cluster_detection_method="deactivate",
      coordinator_bind_address=bound,
      initialization_timeout=60,
      heartbeat_timeout_seconds=_seconds("JAXVISION_HEARTBEAT_TIMEOUT", 30),
      shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
    )
  sys.excepthook = _end_with_a_traceback


def find(variables: Mapping[str, str]) -> Place | None:
  """Where this process stands, by environment variables; None when alone.

  Raises:
    ValueError: some of the variables are missing, or are no numbers.
  """
  if any(variables.get(name) for name in _OUR_OWN):
    return _place(_OUR_OWN, variables)
  told = {name: variables[name] for name in _TORCHRUN if variables.get(name)}
  if len(told) == len(_TORCHRUN):
    return _place(_TORCHRUN, variables)
  place = _detected(variables)
  if told and not _agrees(place, told):
    raise ValueError(_incomplete(told, _TORCHRUN))
  if place is None and (address := variables.get(_ADDRESS)):
    raise ValueError(_incomplete({_ADDRESS: address}, _OUR_OWN))
  return place


def _agrees(place: Place | None, told: Mapping[str, str]) -> bool:
  """Whether what was detected is what some variables of torchrun say."""
  return place is not None and (
    told.get("WORLD_SIZE", str(place.count)) == str(place.count)
    and told.get("RANK", str(place.process)) == str(place.process)
  )


def _incomplete(told: Mapping[str, str], names: Sequence[str]) -> str:
  return (
    f"{' '.join(map('='.join, told.items()))} does not say which process this "
    "is, and nothing else here does: set all of "
    f"{', '.join(names)}, or unset {', '.join(told)} for a run of one process"
  )


def _place(names: Sequence[str], variables: Mapping[str, str]) -> Place:
  values = [variables.get(name, "") for name in names]
  *address, count, process = values
  numbers = count.isdecimal() and process.isdecimal()
  if not (all(address) and numbers and int(process) < int(count)):
    told = " ".join(map("{}={}".format, names, values))
    raise ValueError(
      f"{told} does not say which process this is: that takes the address of "
      "process 0, how many there are, and which this is, counted from 0; set "
      "all of them, or none"
    )
  return Place(":".join(address), int(count), int(process))


def _detected(variables: Mapping[str, str]) -> Place | None:
  """What jax finds; only a private function of it can tell without starting."""
  from jax._src import clusters

  own = variables.get("JAX_LOCAL_DEVICE_IDS")
  address, count, process, devices = (
    clusters.ClusterEnv.auto_detect_unset_distributed_params(
      coordinator_address=variables.get(_ADDRESS),
      num_processes=None,
      process_id=None,
      local_device_ids=[int(each) for each in own.split(",")] if own else None,
      cluster_detection_method=None,
      initialization_timeout=300,
    )
  )
  return None if count is None else Place(address, count, process, devices)


def _seconds(name: str, default: int) -> int:
  value = os.environ.get(name, "") or str(default)
  if not value.isdecimal() or int(value) < 1:
    raise ValueError(f"{name}={value!r}; it must be a whole number of seconds")
  return int(value)


@contextlib.contextmanager
def _too_late_explained() -> Iterator[None]:
  try:
    yield
  except RuntimeError as error:
    if "must be called before" not in str(error):
      raise
    raise ValueError(
      "this process should be one of several, but jax is in use already: call "
      "jaxvision.processes.cluster.start() before anything else"
    ) from error


def abandoned(error: BaseException | None) -> bool:
  """Whether an error says that another process of the run is gone."""
  told = error is not None and _OTHERS_GONE.search(str(error))
  return bool(told) and jax.distributed.is_initialized()


def leave(code: int, error: BaseException | None = None) -> int:
  """Ends this process at once where others would wait for it in vain.

  The ordinary end of a process waits for the others. One that has failed alone
  must not: it ends here, and they notice. Alone it returns the code.

  Args:
    code: to exit with, unless it was another process that failed.
    error: why; tells whether it was.
  """
  if not jax.distributed.is_initialized():
    return code
  gone = abandoned(error)
  if gone:
    print("another process of the run is gone: see its output", file=sys.stderr)
  sys.stdout.flush()
  sys.stderr.flush()
  if gone:
    os._exit(exit_codes.ABANDONED)
  if jax.process_index() == 0:
    # Its end is the end of all: those with the same error tell it first.
    time.sleep(2)
  os._exit(code)


def _end_with_a_traceback(kind, error, trace) -> None:
  sys.__excepthook__(kind, error, trace)
  leave(1, error)
