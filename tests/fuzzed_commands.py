"""Runs many commands in one process, and reports the end of each.

  python fuzzed_commands.py < [["data", "inspect", FOLDER], ...] (JSON)

writes a line of JSON before each command, {"begins": i}, and one after it:
{"code", "output", "raised", "kilobytes"}. The memory of the process is
limited, and an alarm ends a command that takes too long. The last printed line
shows which command ended the process.
"""

import contextlib
import io
import json
import os
import resource
import signal
import sys
import traceback

SECONDS = 60
ADDRESSES = 12 << 30  # bytes, of which XLA alone reserves several GiB


class TookTooLong(BaseException):
  """Not an Exception, so that a reader does not report a damaged file."""


def _stop(*_):
  raise TookTooLong(f"more than {SECONDS} s")


def main() -> None:
  """Reads the commands, runs them and writes their results."""
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  from jaxvision import cli

  resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
  signal.signal(signal.SIGALRM, _stop)
  # The output of native libraries must not appear between the lines.
  lines = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)
  for number, words in enumerate(json.load(sys.stdin)):
    print(json.dumps({"begins": number}), file=lines, flush=True)
    ended = _run(cli.main, words)
    print(json.dumps(ended), file=lines, flush=True)


def _run(command, words) -> dict:
  output, code, raised = io.StringIO(), None, ""
  before = _peak()
  signal.alarm(SECONDS)
  try:
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
      code = command(words)
  except SystemExit as stop:  # wrong arguments
    code = stop.code
  except BaseException:
    raised = traceback.format_exc()
  finally:
    signal.alarm(0)
  return {
    "code": code,
    "output": output.getvalue(),
    "raised": raised,
    "kilobytes": _peak() - before,
  }


def _peak() -> int:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
  main()
