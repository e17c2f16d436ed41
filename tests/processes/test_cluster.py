"""The position of a process, from its environment; real starts are in
test_many_processes.py."""

import os

import jax
import pytest

from jaxvision import cli, models
from jaxvision.processes import cluster

_OWN = {
  "JAXVISION_COORDINATOR": "10.0.0.1:1234",
  "JAXVISION_NUM_PROCESSES": "4",
  "JAXVISION_PROCESS_ID": "3",
}
_TORCHRUN = {
  "MASTER_ADDR": "host-0",
  "MASTER_PORT": "29500",
  "WORLD_SIZE": "2",
  "RANK": "0",
}
_SLURM = {
  "SLURM_JOB_ID": "7",
  "SLURM_STEP_NODELIST": "node[3-4]",
  "SLURM_NTASKS": "2",
  "SLURM_PROCID": "1",
  "SLURM_LOCALID": "0",
  "SLURM_STEP_NUM_NODES": "2",
}


@pytest.fixture
def found(monkeypatch):
  """find(variables), in an environment without other such variables."""

  def find(variables):
    for name in (*_OWN, *_TORCHRUN, *_SLURM, "JAX_COORDINATOR_ADDRESS"):
      monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
      monkeypatch.setenv(name, value)
    return cluster.find(os.environ)

  return find


def test_a_process_without_variables_is_single(found):
  assert found({}) is None


def test_our_own_variables(found):
  assert found(_OWN) == cluster.Place("10.0.0.1:1234", 4, 3)


def test_variables_of_torchrun_are_used(found):
  assert found(_TORCHRUN) == cluster.Place("host-0:29500", 2, 0)


def test_clusters_detected_by_jax_are_used(found):
  """jax takes the first node, a port of the job, and a device per process."""
  place = found(_SLURM)
  assert place == cluster.Place(f"node3:{61440 + 7}", 2, 1, [0])


def test_addresses_that_jax_is_told(found):
  told = {"JAX_COORDINATOR_ADDRESS": "10.0.0.9:5"}
  assert found(_SLURM | told).address == "10.0.0.9:5"
  with pytest.raises(ValueError, match=r"JAX_COORDINATOR_ADDRESS=10.0.0.9:5"):
    found(told)


def test_the_first_source_that_is_set_decides(found):
  assert found(_SLURM | _TORCHRUN).address == "host-0:29500"
  assert found(_SLURM | _TORCHRUN | _OWN).address == "10.0.0.1:1234"


@pytest.mark.parametrize("missing", [*_TORCHRUN, "MASTER_ADDR RANK"])
def test_incomplete_variables_of_torchrun_are_refused(found, missing):
  some = {k: v for k, v in _TORCHRUN.items() if k not in missing.split()}
  with pytest.raises(ValueError, match=r"set all of MASTER_ADDR.*unset") as e:
    found(some)
  assert all(f"{name}={value}" in str(e.value) for name, value in some.items())


def test_jax_completes_variables_of_torchrun_if_both_agree(found):
  address = {"MASTER_ADDR": "host-0", "MASTER_PORT": "29500"}
  assert found(_SLURM | address).address == f"node3:{61440 + 7}"
  assert found(_SLURM | {"WORLD_SIZE": "2", "RANK": "1"}).process == 1
  for other in ({"WORLD_SIZE": "4"}, {"RANK": "0"}):
    with pytest.raises(ValueError, match="does not determine the number"):
      found(_SLURM | address | other)


@pytest.mark.parametrize("missing", _OWN)
def test_variables_go_together(found, missing):
  some = {name: value for name, value in _OWN.items() if name != missing}
  with pytest.raises(ValueError, match=f"{missing}=.*set all of them"):
    found(some)


@pytest.mark.parametrize(
  "changed",
  [
    {"JAXVISION_PROCESS_ID": "4"},
    {"JAXVISION_PROCESS_ID": "-1"},
    {"JAXVISION_NUM_PROCESSES": "four"},
  ],
)
def test_numbers_are_counted_from_0(found, changed):
  with pytest.raises(ValueError, match="does not determine the number of this"):
    found(_OWN | changed)


@pytest.mark.parametrize(
  "variables", [{}, {**_OWN, "JAXVISION_NUM_PROCESSES": "1"}]
)
def test_a_single_process_starts_nothing(monkeypatch, variables):
  variables = {**variables, "JAXVISION_PROCESS_ID": "0"} if variables else {}
  monkeypatch.setattr(cluster.os, "environ", variables)
  cluster.start()
  assert not jax.distributed.is_initialized()
  assert cluster.leave(7) == 7


def test_a_time_out_is_a_number(monkeypatch):
  monkeypatch.setenv("JAXVISION_START_TIMEOUT", "5 minutes")
  for name, value in (_OWN | {"JAXVISION_PROCESS_ID": "0"}).items():
    monkeypatch.setenv(name, value)
  with pytest.raises(ValueError, match="whole number of seconds"):
    cluster.start()


@pytest.mark.parametrize(
  "said",
  [
    "UNKNOWN: Gloo all-reduce failed: Read error: Connection reset by peer",
    "INTERNAL: NCCL operation ncclAllReduce(...) failed: unhandled error",
    "UNAVAILABLE: worker 3 is down",
    "DEADLINE_EXCEEDED: Barrier timed out",
  ],
)
def test_the_end_of_another_process_is_distinguished_from_a_bug(
  said, monkeypatch
):
  error = RuntimeError(said)
  assert not cluster.abandoned(error)  # alone there is none
  monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
  assert cluster.abandoned(error)


@pytest.mark.parametrize(
  "said",
  [
    "RESOURCE_EXHAUSTED: Out of memory allocating 5 GiB",
    "image size 225 is not a multiple of patch 16; use 224 or 240",
  ],
)
def test_a_bug_is_distinguished_from_the_end_of_another_process(
  said, monkeypatch
):
  monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
  assert not cluster.abandoned(RuntimeError(said))


def test_without_another_process_there_is_one_line_and_no_traceback(
  monkeypatch, capsys
):
  class Left(BaseException):
    pass

  def leave(code):
    raise Left(code)

  def fail(options):
    raise RuntimeError("UNKNOWN: Gloo all-reduce failed: reset by peer")

  monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
  monkeypatch.setattr(cluster.os, "_exit", leave)
  monkeypatch.setattr(models, "names", fail)
  with pytest.raises(Left, match="134"):
    cli.main(["models"])
  first, second = capsys.readouterr().err.splitlines()
  assert first == "jaxvision: UNKNOWN: Gloo all-reduce failed: reset by peer"
  assert second.startswith("another process of the run has ended")
