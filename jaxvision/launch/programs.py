"""Programs of others that are asked to run something: sbatch, gcloud, git."""

import shutil
import subprocess
from collections.abc import Sequence


def require(program: str, remedy: str) -> None:
  """Whether a program is there.

  Raises:
    FileNotFoundError: it is not on PATH; says the remedy.
  """
  if shutil.which(program) is None:
    raise FileNotFoundError(f"there is no {program} on PATH: {remedy}")


def ask(words: Sequence[str]) -> str:
  """What a program prints, without the last line break.

  Raises:
    OSError: it failed; with what it said.
  """
  done = subprocess.run(words, capture_output=True, text=True)
  if done.returncode:
    said = done.stderr.strip() or done.stdout.strip() or "it said nothing"
    raise OSError(f"{' '.join(words[:4])} failed ({done.returncode}): {said}")
  return done.stdout.strip()
