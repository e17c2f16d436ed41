"""Locks: one named holder, released also after a crash."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from jaxvision.files import locks


def test_a_lock_says_who_holds_it(tmp_path):
  path = tmp_path / "lock"
  with locks.locked(path):
    refusal = "in use by {holder}; wait"
    with (
      pytest.raises(ValueError, match="in use by process") as caught,
      locks.locked(path, refusal=refusal),
    ):
      pass
    assert f"process {os.getpid()} on {socket.gethostname()} since 2" in str(
      caught.value
    )
  with locks.locked(path, refusal=refusal):
    pass
  assert path.read_text() == ""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
  path = tmp_path / "lock"
  code = (
    "import sys\n"
    "from jaxvision.files import locks\n"
    "with locks.locked(sys.argv[1]):\n"
    "  print('held', flush=True)\n"
    "  sys.stdin.read()\n"
  )
  with subprocess.Popen(
    [sys.executable, "-c", code, str(path)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
  ) as process:
    assert process.stdout.readline() == b"held\n"
    with (
      pytest.raises(ValueError, match=f"process {process.pid} on"),
      locks.locked(path, refusal="{holder}"),
    ):
      pass
    process.kill()
    process.wait()
  with locks.locked(path, refusal="{holder}"):
    assert path.read_text().startswith(f"process {os.getpid()} on")


def test_a_lock_that_is_waited_for_tells_so(tmp_path):
  path, told = tmp_path / "lock", []
  free = threading.Event()

  def wait():
    def tell(holder):
      told.append(holder)
      free.set()

    with locks.locked(path, waiting=tell):
      told.append("held")

  with locks.locked(path):
    thread = threading.Thread(target=wait)
    thread.start()
    assert free.wait(30)
    assert len(told) == 1
  thread.join()
  assert told[0].startswith(f"process {os.getpid()} on")
  assert told[1:] == ["held"]
