"""Exit codes of processes, and whether the same command can resume.

Exit codes are those of `jaxvision` (see cli/main.py). As in a shell, the code
of an end by a signal is 128 plus the signal number. After a signal or 42
(preempted and saved), the same command resumes from the last checkpoint. After
any other code it would fail again in the same way.
"""

import signal
from collections.abc import Mapping

PREEMPTED = 42
# Another process of the run has failed first.
ABANDONED = 134
INTERRUPTED = 130
# The shell's exit codes for signals are in (128, 192].
_SIGNALLED, _LAST = 128, 192


def code(status: int) -> int:
  """The exit code of a `subprocess` status: -9, a kill, becomes 137."""
  return status if status >= 0 else _SIGNALLED - status


def cause(codes: Mapping[int, int]) -> int:
  """Returns the process that caused the others to end.

  Args:
    codes: the exit code of each process by its number, in the order in which
      the processes ended; at least one.

  Returns:
    The first process that failed on its own; else the first that failed; else
    the first.
  """
  failed = [each for each in codes if codes[each]]
  alone = [each for each in failed if codes[each] != ABANDONED]
  return next(iter([*alone, *failed, *codes]))


def is_resumable(code: int) -> bool:
  """Whether the same command can resume the run."""
  signalled = _SIGNALLED < code <= _LAST
  return code == PREEMPTED or (signalled and code != INTERRUPTED)


def describe(code: int) -> str:
  """Describes an exit code: "was ended by SIGKILL (137)"."""
  known = {
    0: "finished (0)",
    2: "found an error in its arguments or data (2)",
    3: "diverged (3)",
    PREEMPTED: "was preempted and has saved (42)",
    INTERRUPTED: "was interrupted (130)",
  }
  if code in known:
    return known[code]
  if _SIGNALLED < code <= _LAST:
    return f"was ended by {_name(code - _SIGNALLED)} ({code})"
  return f"failed ({code})"


def _name(number: int) -> str:
  try:
    return signal.Signals(number).name
  except ValueError:
    return f"signal {number}"
