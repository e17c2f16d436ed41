"""The meaning of exit codes for launchers."""

import signal
import subprocess
import sys

import pytest

from jaxvision import cli
from jaxvision.processes import exit_codes


@pytest.mark.parametrize(
  ("code", "again"),
  [
    (0, False),
    (1, False),
    (2, False),
    (cli.DIVERGED, False),
    (cli.PREEMPTED, True),
    (cli.INTERRUPTED, False),
    (134, True),
    (137, True),
    (143, True),
    (255, False),  # of ssh, and of programs that return -1
  ],
)
def test_resumable_exit_codes(code, again):
  assert exit_codes.is_resumable(code) is again


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_codes_of_signals_are_those_of_a_shell(number):
  kill = f"kill -{int(number)} $$"
  ours = subprocess.run(["sh", "-c", kill])
  theirs = subprocess.run(["bash", "-c", f"sh -c '{kill}'; exit $?"])
  assert exit_codes.code(ours.returncode) == theirs.returncode == 128 + number
  assert signal.Signals(number).name in exit_codes.describe(theirs.returncode)


@pytest.mark.parametrize(
  ("codes", "cause"),
  [
    ({0: 0, 1: 0}, 0),
    ({1: 0, 0: 3}, 0),
    ({1: 134, 0: 2}, 0),  # process 0 lets the others end before itself
    ({2: 137, 0: 134, 1: 134}, 2),
    ({2: 134, 0: 134}, 2),
    ({0: 42, 1: 42}, 0),
    ({1: 1, 0: 137}, 1),
  ],
)
def test_the_first_that_failed_by_itself_is_the_cause(codes, cause):
  assert exit_codes.cause(codes) == cause


def test_every_code_is_described():
  said = [exit_codes.describe(code) for code in range(256)]
  assert all(f"({code})" in text for code, text in enumerate(said))
  assert said[255] == "failed (255)"


def test_python_ends_by_signals_as_it_is_told():
  code = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
  done = subprocess.run([sys.executable, "-S", "-c", code])
  assert exit_codes.code(done.returncode) == exit_codes.ABANDONED
