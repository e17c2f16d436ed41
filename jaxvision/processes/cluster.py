"""Connects the processes of a run, and ends all of them if one fails.

A run may have many processes, usually one per host. Each process needs its
number and the address of process 0. They are read from the first of these
sources that is present:

  JAXVISION_COORDINATOR (host:port), JAXVISION_NUM_PROCESSES and
  JAXVISION_PROCESS_ID, as set by `jaxvision launch local`
  MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK, the names of torchrun
  the detection of jax: SLURM, Open MPI, Cloud TPU, GKE, Kubernetes

When one process fails, all stop; see `leave`. JAXVISION_START_TIMEOUT (300) is
the number of seconds in which all processes must start. After
JAXVISION_HEARTBEAT_TIMEOUT (30) seconds without a heartbeat, the other
processes treat a process as dead and end with SIGABRT.
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
# Error messages of the CPU, GPU and TPU collectives when another process has
# ended.
_OTHERS_GONE = re.compile(
  "Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED|by peer|"
  "coordination service"
)
# Wait at the end for the process that still writes the report.
_SHUTDOWN_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Place:
  """The position of a process in its run.

  Attributes:
    address: "host:port" of process 0.
    count: number of processes.
    process: the number of this process, from 0.
    devices: the numbers of the host's devices that this process uses; None is
      all devices.
  """

  address: str
  count: int
  process: int
  devices: Sequence[int] | None = None


def start() -> None:
  """Connects this process to its run; call it before the first use of a device.

  Does nothing in a run of one process, or if jax.distributed is initialized.

  Raises:
    rendezvous.Missing: some processes did not start in time; names them.
    ValueError: the variables contradict each other, or jax is already in use.
    OSError: process 0 cannot listen at its address.
  """
  if jax.distributed.is_initialized():
    return
  place = find(os.environ)
  if place is None or place.count == 1:
    return
  rendezvous.wait_for_all(
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
  """The position of this process, from environment variables; None if single.

  Raises:
    ValueError: some of the variables are missing or are not numbers.
  """
  if any(variables.get(name) for name in _OUR_OWN):
    return _place(_OUR_OWN, variables)
  given = {name: variables[name] for name in _TORCHRUN if variables.get(name)}
  if len(given) == len(_TORCHRUN):
    return _place(_TORCHRUN, variables)
  place = _detected(variables)
  if given and not _agrees(place, given):
    raise ValueError(_incomplete(given, _TORCHRUN))
  if place is None and (address := variables.get(_ADDRESS)):
    raise ValueError(_incomplete({_ADDRESS: address}, _OUR_OWN))
  return place


def _agrees(place: Place | None, given: Mapping[str, str]) -> bool:
  """Whether the detected position agrees with some variables of torchrun."""
  return place is not None and (
    given.get("WORLD_SIZE", str(place.count)) == str(place.count)
    and given.get("RANK", str(place.process)) == str(place.process)
  )


def _incomplete(given: Mapping[str, str], names: Sequence[str]) -> str:
  return (
    f"{' '.join(map('='.join, given.items()))} does not determine the number "
    "of this process, and no other variable does: set all of "
    f"{', '.join(names)}, or unset {', '.join(given)} for a run of one process"
  )


def _place(names: Sequence[str], variables: Mapping[str, str]) -> Place:
  values = [variables.get(name, "") for name in names]
  *address, count, process = values
  numbers = count.isdecimal() and process.isdecimal()
  if not (all(address) and numbers and int(process) < int(count)):
    given = " ".join(map("{}={}".format, names, values))
    raise ValueError(
      f"{given} does not determine the number of this process: expected the "
      "address of process 0, the number of processes, and the number of this "
      "process, counted from 0; set all of them, or none"
    )
  return Place(":".join(address), int(count), int(process))


def _detected(variables: Mapping[str, str]) -> Place | None:
  """The position that jax detects; it has no public function for this."""
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
      "this process should join a run of several processes, but jax is already "
      "in use: call jaxvision.processes.cluster.start() first"
    ) from error


def abandoned(error: BaseException | None) -> bool:
  """Whether an error means that another process of the run has ended."""
  found = error is not None and _OTHERS_GONE.search(str(error))
  return bool(found) and jax.distributed.is_initialized()


def leave(code: int, error: BaseException | None = None) -> int:
  """Ends this process immediately if the other processes would wait for it.

  Normally, a process waits for the others before it ends. A process that failed
  alone must not wait. It ends here, and the others detect this. In a run of one
  process, returns the code.

  Args:
    code: the exit code. It is replaced if another process failed first.
    error: the cause, which shows whether another process failed first.
  """
  if not jax.distributed.is_initialized():
    return code
  gone = abandoned(error)
  if gone:
    print(
      "another process of the run has ended: see its output", file=sys.stderr
    )
  sys.stdout.flush()
  sys.stderr.flush()
  if gone:
    os._exit(exit_codes.ABANDONED)
  if jax.process_index() == 0:
    # The end of process 0 ends all processes. Wait, so that processes with the
    # same error can report it first.
    time.sleep(2)
  os._exit(code)


def _end_with_a_traceback(kind, error, trace) -> None:
  sys.__excepthook__(kind, error, trace)
  leave(1, error)
