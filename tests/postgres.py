"""A PostgreSQL server for tests, from the packages of the distribution."""

import contextlib
import getpass
import glob
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator


def binaries() -> pathlib.Path | None:
  """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
  found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
  path = shutil.which("initdb") or (found[-1] if found else None)
  # The program on the path may be a link to one of the two.
  return pathlib.Path(path).resolve().parent if path else None


@contextlib.contextmanager
def serve() -> Iterator[str]:
  """Yields the URL of an empty database, which exists during the block."""
  # The server refuses to run as root; Debian's package has a user for it.
  user = "postgres" if os.getuid() == 0 else getpass.getuser()
  # Not pytest's folder, which only its owner can read.
  with tempfile.TemporaryDirectory(prefix="jaxvision-postgres-") as folder:
    if os.getuid() == 0:
      shutil.chown(folder, user)
    port = _free_port()
    _run(user, "initdb", "-D", f"{folder}/data", "-U", "test", "-A", "trust")
    options = (
      f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off "
      f"-c unix_socket_directories={folder}"
    )
    log = f"{folder}/log"
    _run(
      user, "pg_ctl", "-D", f"{folder}/data", "-l", log, "-o", options, "start"
    )
    try:
      yield f"postgresql+psycopg2://test@127.0.0.1:{port}/postgres"
    finally:
      _run(user, "pg_ctl", "-D", f"{folder}/data", "-m", "fast", "stop")


def _run(user: str, command: str, *arguments: str) -> None:
  done = subprocess.run(
    [binaries() / command, *arguments],
    user=user,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,  # the server would keep a pipe open
    stderr=subprocess.DEVNULL,
    env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    cwd="/",
  )
  assert done.returncode == 0, f"{command} {arguments}: {done.returncode}"


def _free_port() -> int:
  with socket.socket() as listening:
    listening.bind(("127.0.0.1", 0))
    return listening.getsockname()[1]
