"""A real SLURM of one node on this machine, for the time of a test.

Debian: apt-get install --no-install-recommends slurm-wlm munge. All files are
in one folder. All daemons listen on the loopback and run as the current user.
"""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
_PATH = f"{os.environ['PATH']}:/usr/sbin"
_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SrunPortRange={srun_ports}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SchedulerParameters=requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=60 \
OverSubscribe=FORCE:1
PartitionName=high Nodes={host} PriorityTier=2 PreemptMode=OFF
"""


def missing() -> list[str]:
  """The programs that are not installed."""
  return [each for each in _PROGRAMS if not shutil.which(each, path=_PATH)]


@contextlib.contextmanager
def started(folder: pathlib.Path) -> Iterator[None]:
  """Sets SLURM_CONF to the configuration of a cluster that is ready."""
  _write_config(folder)
  socket_path = folder / "munge" / "socket"
  munge = [
    *("munged", "--foreground", "--force", "--num-threads=2"),
    f"--socket={socket_path}",
    *(f"--{each}-file={folder}/munge/{each}" for each in ("key", "pid", "log")),
    f"--seed-file={folder}/munge/seed",
  ]
  before = os.environ.get("SLURM_CONF")
  os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
  try:
    with _running(munge, folder), contextlib.ExitStack() as stack:
      _wait(socket_path.exists, folder)
      stack.enter_context(_running(["slurmctld", "-D", "-i"], folder))
      stack.enter_context(_running(["slurmd", "-D"], folder))
      _wait(lambda: "idle" in _asked("sinfo", "-h", "-o", "%T"), folder)
      try:
        yield
      finally:
        # Other processes would wait for the daemons forever.
        _asked("scancel", f"--user={getpass.getuser()}")
        _wait(lambda: not _asked("squeue", "-h"), folder)
  finally:
    os.environ.pop("SLURM_CONF")
    if before is not None:
      os.environ["SLURM_CONF"] = before


def _write_config(folder: pathlib.Path) -> None:
  for each in ("munge", "state", "spool"):
    (folder / each).mkdir()
  # munged insists on who may look into the folders of its key and its socket.
  (folder / "munge").chmod(0o755)
  key = folder / "munge" / "key"
  key.write_bytes(os.urandom(1024))
  key.chmod(0o600)
  with contextlib.ExitStack() as stack:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [stack.enter_context(each).getsockname()[1] for each in servers]
  text = _CONFIG.format(
    host=socket.gethostname().partition(".")[0],
    user=getpass.getuser(),
    controller_port=ports[0],
    node_port=ports[1],
    srun_ports="32100-32400",
    cpus=os.cpu_count(),
    folder=folder,
  )
  (folder / "slurm.conf").write_text(text, "utf-8")


@contextlib.contextmanager
def _running(command: Sequence[str], folder: pathlib.Path) -> Iterator[None]:
  with (folder / f"{command[0]}.txt").open("w") as output:
    process = subprocess.Popen(
      command,
      stdout=output,
      stderr=output,
      env=os.environ | {"PATH": _PATH},
    )
    try:
      yield
    finally:
      process.terminate()
      try:
        process.wait(20)
      except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _asked(*words: str) -> str:
  return subprocess.run(words, capture_output=True, text=True).stdout


def _wait(condition, folder: pathlib.Path) -> None:
  deadline = time.monotonic() + 30
  while not condition():
    logs = [*folder.glob("*.log"), *folder.glob("*.txt")]
    assert time.monotonic() < deadline, "\n".join(
      each.read_text() for each in logs
    )
    time.sleep(0.1)
