"""How processes end, and whether starting them again would help.

By exit codes as `jaxvision` has them (see cli.py) and as a shell tells the end
by a signal: 128 and its number. After a signal or 42 (stopped and saved) the
same command goes on from the last checkpoint; after any other code it would
fail again in the same way.
"""

import signal
from collections.abc import Mapping

PREEMPTED = 42
# Another process of the run has failed: never where the trouble began.
ABANDONED = 134
INTERRUPTED = 130
# The shell's code for the end by a signal, and that of the last signal.
_SIGNALLED, _LAST = 128, 192


def code(status: int) -> int:
  """The exit code for a status of `subprocess`, -9 for a kill: then 137."""
  return status if status >= 0 else _SIGNALLED - status


def cause(codes: Mapping[int, int]) -> int:
  """Returns the process whose end explains those of the others.

  Args:
    codes: the exit code of each process by its number, in the order in which
      they ended; at least one.

  Returns:
    The first that failed by itself; else the first that failed; else the first.
  """
  failed = [each for each in codes if codes[each]]
  alone = [each for each in failed if codes[each] != ABANDONED]
  return next(iter([*alone, *failed, *codes]))


def starts_again(code: int) -> bool:
  """Whether the same command has a chance to go on."""
  signalled = _SIGNALLED < code <= _LAST
  return code == PREEMPTED or (signalled and code != INTERRUPTED)


def describe(code: int) -> str:
  """What an exit code says: "was ended by SIGKILL (137)"."""
  known = {
    0: "is done (0)",
    2: "found its arguments or data wrong (2)",
    3: "diverged (3)",
    PREEMPTED: "was stopped and has saved (42)",
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
