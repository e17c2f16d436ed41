"""External programs: sbatch, gcloud and git."""

import shutil
import subprocess
from collections.abc import Sequence


def require(program: str, remedy: str) -> None:
  """Checks that a program is installed.

  Raises:
    FileNotFoundError: it is not on PATH; the message has the remedy.
  """
  if shutil.which(program) is None:
    raise FileNotFoundError(f"{program} is not on PATH: {remedy}")


def output(words: Sequence[str]) -> str:
  """Runs a program and returns its output without the last line break.

  Raises:
    OSError: the program failed; with its message.
  """
  done = subprocess.run(words, capture_output=True, text=True)
  if done.returncode:
    message = done.stderr.strip() or done.stdout.strip() or "no output"
    raise OSError(
      f"{' '.join(words[:4])} failed ({done.returncode}): {message}"
    )
  return done.stdout.strip()
